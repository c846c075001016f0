package retry

import "errors"

// ErrLater means that what was asked for is away, or cannot do it now, and says
// nothing about the question: the same may be asked again.
var ErrLater = errors.New("not available now")
