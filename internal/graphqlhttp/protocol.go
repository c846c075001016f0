package graphqlhttp

import (
	"encoding/json"
	"fmt"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"
)

// The subprotocols: ours, and the older one, which shares its clients but not its
// messages.
const (
	subprotocol       = "graphql-transport-ws"
	legacySubprotocol = "graphql-ws"
)

// The types of messages of graphql-transport-ws.
const (
	typeInit      = "connection_init"
	typeAck       = "connection_ack"
	typePing      = "ping"
	typePong      = "pong"
	typeSubscribe = "subscribe"
	typeNext      = "next"
	typeError     = "error"
	typeComplete  = "complete"
)

// maxID is how long the ID of an operation may be. The reason of a close, which may
// quote it, has at most 123 bytes (RFC 6455, section 5.5).
const maxID = 64

// closing is why a connection is closed, as its client is told.
type closing struct {
	code   websocket.StatusCode
	reason string
}

// Error implements error.
func (c *closing) Error() string { return fmt.Sprintf("closed with %d: %s", c.code, c.reason) }

// The reasons of the protocol, and of the service.
var (
	errUnauthorized     = &closing{4401, "Unauthorized"}
	errNotAcceptable    = &closing{4406, "Subprotocol not acceptable"}
	errInitTimeout      = &closing{4408, "Connection initialisation timeout"}
	errTooManyInits     = &closing{4429, "Too many initialisation requests"}
	errSessionEnded     = &closing{4401, "The session has ended"}
	errNotSignedIn      = &closing{4401, "The session is not live"}
	errUnavailable      = &closing{websocket.StatusTryAgainLater, "The service is not available right now"}
	errTooManyStreams   = &closing{websocket.StatusTryAgainLater, "Too many streams are open"}
	errStopping         = &closing{websocket.StatusGoingAway, "The service is stopping"}
	errMessageTooLarge  = &closing{websocket.StatusMessageTooBig, "The message is too large"}
	errMessageNotText   = invalid("it must be text")
	errMessageNotObject = invalid("it must be one JSON object in UTF-8")
)

// invalid is the end of a connection whose client does not keep to the protocol.
// The reason quotes nothing of the message.
func invalid(reason string) *closing { return &closing{4400, "Invalid message: " + reason} }

func errSubscribed(id string) *closing {
	return &closing{4409, "Subscriber for " + id + " already exists"}
}

// message is one of the client's.
type message struct {
	kind    string
	id      string
	payload json.RawMessage // may be empty
}

// parseMessage reads a message, or says why it is none.
func parseMessage(kind websocket.MessageType, content []byte) (message, error) {
	var members map[string]json.RawMessage
	var m message
	switch {
	case kind != websocket.MessageText:
		return m, errMessageNotText
	case !jsontext.Value(content).IsValid() || json.Unmarshal(content, &members) != nil || members == nil:
		return m, errMessageNotObject
	case !decode(members["type"], &m.kind):
		return m, invalid("type must be a string")
	}
	m.payload = members["payload"]
	switch m.kind {
	case typeSubscribe, typeComplete:
		if !decode(members["id"], &m.id) || m.id == "" || len(m.id) > maxID {
			return m, invalid(fmt.Sprintf("id must be a string of 1 to %d bytes", maxID))
		}
		return m, nil
	case typeInit, typePing, typePong:
		var payload map[string]json.RawMessage
		if !decode(m.payload, &payload) {
			return m, invalid("payload must be an object or null")
		}
		return m, nil
	default:
		return m, invalid("its type is unknown, or not the client's")
	}
}

// authorization returns what the payload of a connection_init says of who calls, or
// nothing.
func authorization(payload json.RawMessage) (string, error) {
	var members map[string]json.RawMessage
	_ = decode(payload, &members) // an object, as parseMessage found
	for _, name := range []string{"Authorization", "authorization"} {
		var value string
		switch {
		case !decode(members[name], &value):
			return "", invalid(name + " must be a string")
		case value != "":
			return value, nil
		}
	}
	return "", nil
}

// encodeMessage returns a message of the server's. The ID and the payload, which is
// JSON already, are left out where they are empty.
func encodeMessage(kind, id string, payload []byte) []byte {
	content := append(make([]byte, 0, len(payload)+len(id)+48), `{"type":"`+kind+`"`...)
	if id != "" {
		quoted, _ := json.Marshal(id) // never fails for a string
		content = append(append(content, `,"id":`...), quoted...)
	}
	if len(payload) > 0 {
		content = append(append(content, `,"payload":`...), payload...)
	}
	return append(content, '}')
}
