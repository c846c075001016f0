package persisted

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// apolloFormat is how Apollo's persisted query manifest says what it is.
const apolloFormat = "apollo-persisted-query-manifest"

// read returns the operations of a file in one of the known formats, and what is
// wrong with those that are none.
func read(content []byte) (operations []operation, problems []error) {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(content, &members); err != nil || members == nil {
		return nil, []error{notJSON(err)}
	}
	_, hasFormat := members["format"]
	_, hasOperations := members["operations"]
	if hasFormat || hasOperations {
		return readApollo(members)
	}
	for i, id := range slices.Sorted(maps.Keys(members)) {
		o := operation{position: i + 1, id: id}
		if members[id].Kind() != '"' || json.Unmarshal(members[id], &o.text) != nil {
			problems = append(problems, fmt.Errorf("%s is not a string", o.name()))
			continue
		}
		operations = append(operations, o)
	}
	return operations, problems
}

// notJSON says what is wrong with a file that is not one JSON object, and quotes
// nothing of it but an ID.
func notJSON(err error) error {
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &syntactic) && errors.Is(err, jsontext.ErrDuplicateName):
		if id := syntactic.JSONPointer.LastToken(); idForm.MatchString(id) {
			return fmt.Errorf("%q is there twice", id)
		}
		return fmt.Errorf("an ID is there twice, at byte %d", syntactic.ByteOffset)
	case errors.As(err, &syntactic):
		return fmt.Errorf("it is not JSON in UTF-8, at byte %d", syntactic.ByteOffset)
	default:
		return errors.New("it is not a JSON object")
	}
}

// readApollo reads Apollo's persisted query manifest.
func readApollo(members map[string]jsontext.Value) (operations []operation, problems []error) {
	var format string
	if err := json.Unmarshal(members["format"], &format); err != nil || format != apolloFormat {
		return nil, []error{errors.New("its format is unknown: known is " + apolloFormat)}
	}
	if version := string(members["version"]); version != "1" {
		return nil, []error{errors.New("its version is unknown: known is 1")}
	}
	var values []jsontext.Value
	if err := json.Unmarshal(members["operations"], &values); err != nil {
		return nil, []error{errors.New("its operations are not an array")}
	}
	for i, value := range values {
		// The name and the type are the document's too, but must be what they claim to be.
		var one struct {
			ID   string `json:"id"`
			Name string `json:"name"`
			Type string `json:"type"`
			Body string `json:"body"`
		}
		if value.Kind() != '{' || json.Unmarshal(value, &one) != nil {
			problems = append(problems, fmt.Errorf("%s is not an object with the strings id, name, type and body", named(one.ID, i+1)))
			continue
		}
		operations = append(operations, operation{position: i + 1, id: one.ID, text: one.Body})
	}
	return operations, problems
}
