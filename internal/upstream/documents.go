package upstream

// What Galaxy is asked to change. Each document asks for one thing, so that an
// error concerns that thing.
const (
	disconnectAccountDocument = `mutation DisconnectAccount($urn: String!) {
  disconnectAccount(accountURN: $urn)
}`
	renameAccountDocument = `mutation RenameAccount($urn: String!, $title: String!) {
  updateAccountNickname(accountURN: $urn, nickname: $title)
}`
	setAppDataDocument = `mutation SetAppData($data: JSON!) {
  setExternalAppData(payload: $data)
}`
	registerSessionKeyDocument = `mutation RegisterSessionKey($key: String!, $wallet: String!) {
  registerSessionKey(sessionPublicKey: $key, smartContractWalletAccount: $wallet)
}`
	revokeAppDocument = `mutation RevokeAppAuthorization($clientId: String!) {
  revokeAppAuthorization(clientId: $clientId)
}`
)
