package command

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// TimeMs reads from an encoded entry the latest time that its commands carry,
// without decoding anything else: it stands in the same place in every version. It
// is 0 where there are none.
func TimeMs(data []byte) (uint64, error) {
	if len(data) == 0 {
		return 0, fmt.Errorf("%w: no bytes", ErrMalformed)
	}
	const commands, timeMs = 1, 1
	var latest uint64
	err := eachField(data[1:], func(n protowire.Number, _ uint64, one []byte) error {
		if n != commands {
			return nil
		}
		return eachField(one, func(n protowire.Number, value uint64, _ []byte) error {
			if n == timeMs {
				latest = max(latest, value)
			}
			return nil
		})
	})
	return latest, err
}

// eachField calls see with each field of a message: with its number as a varint,
// or its bytes.
func eachField(data []byte, see func(n protowire.Number, value uint64, content []byte) error) error {
	for len(data) > 0 {
		n, kind, length := protowire.ConsumeTag(data)
		if length < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(length))
		}
		data = data[length:]
		var value uint64
		var content []byte
		switch kind {
		case protowire.VarintType:
			value, length = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			content, length = protowire.ConsumeBytes(data)
		default:
			length = protowire.ConsumeFieldValue(n, kind, data)
		}
		if length < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(length))
		}
		data = data[length:]
		if err := see(n, value, content); err != nil {
			return err
		}
	}
	return nil
}
