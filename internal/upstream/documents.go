package upstream

// What is asked of Galaxy. Each document asks for one thing, so that an error
// concerns that thing.
const (
	profileDocument = `query Profile($urn: String) {
  profile(targetIdentityURN: $urn) {
    displayName
    pfp { __typename ... on StandardPFP { image } ... on NFTPFP { image isToken } }
  }
}`
	authorizedAppsDocument = `query AuthorizedApps {
  authorizedApps { clientId title icon timestamp }
}`
	appDataDocument = `query AppData {
  getExternalAppData
}`
	connectedAccountsDocument = `query ConnectedAccounts {
  connectedAccounts { baseUrn qc rc }
}`
	accountProfilesDocument = `query AccountProfiles($urns: [String!]) {
  accountProfiles(accountURNList: $urns) { id title icon }
}`
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
