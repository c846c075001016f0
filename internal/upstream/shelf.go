package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// maxShelved is how large an answer may be on the shelf. One that takes longer to
// carry there than is waited for would seem to be the shelf's failure, and cost all
// users its use.
const maxShelved = 256 << 10

// askShelf takes from the shelf what other replicas were answered, asks for the
// rest, and puts that there. Without a shelf, or with one that is of no use now, it
// asks for everything.
func (a *Answers) askShelf(ctx context.Context, keys []string, indices []int, ask fetch) []*Answer {
	if a.shared == nil {
		return ask(ctx, indices)
	}
	places := make([]string, len(keys))
	for i, key := range keys {
		places[i] = place(key)
	}
	answers := make([]*Answer, len(keys))
	var missing, asked []int
	values, err := a.shared.Get(ctx, places)
	for i := range keys {
		if err == nil {
			answers[i] = a.unpack(values[i])
		}
		if answers[i] == nil {
			missing, asked = append(missing, i), append(asked, indices[i])
		}
	}
	a.told("shared", len(keys)-len(missing))
	if len(missing) == 0 {
		return answers
	}
	fresh := ask(ctx, asked)
	if fresh == nil {
		return nil
	}
	put := make(map[string][]byte)
	for n, i := range missing {
		answers[i] = fresh[n]
		if fresh[n].whole() && fresh[n].Age == 0 && len(fresh[n].JSON) <= maxShelved {
			put[places[i]] = pack(fresh[n])
		}
	}
	a.tasks.Go(func() { _ = a.shared.Set(context.WithoutCancel(ctx), put, a.life) }) // it says itself when it is away
	return answers
}

// place is where the answer to a question is on the shelf. A key names a user, a
// consent, and what was asked: nobody who reads the shelf is to see that.
func place(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// pack is an answer as it is on the shelf: when it was asked for, and its JSON.
func pack(a *Answer) []byte {
	value := binary.BigEndian.AppendUint64(nil, uint64(a.asked.UnixMicro()))
	return append(value, a.JSON...)
}

// unpack returns the answer of a value, nil where there is none or its time is up.
func (a *Answers) unpack(value []byte) *Answer {
	const stamp = 8
	if len(value) <= stamp {
		return nil
	}
	asked := time.UnixMicro(int64(binary.BigEndian.Uint64(value))) //nolint:gosec // the bits that pack wrote
	if a.now().Sub(asked) >= a.life {
		return nil
	}
	answer := newAnswer(value[stamp:], asked)
	answer.shared = true
	return answer
}
