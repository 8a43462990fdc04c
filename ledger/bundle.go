package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// AppendEntry appends a record to an entry bundle: its length as big-endian
// uint16, then its bytes, as c2sp.org/tlog-tiles says.
func AppendEntry(bundle, record []byte) ([]byte, error) {
	if len(record) > MaxRecord {
		return bundle, fmt.Errorf("ledger: a record of %d bytes does not fit an entry bundle; the limit is %d", len(record), MaxRecord)
	}
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(record)))
	return append(bundle, record...), nil
}

// ParseEntries returns the records of an entry bundle. They share its memory.
func ParseEntries(bundle []byte) ([][]byte, error) {
	var records [][]byte
	for len(bundle) > 0 {
		if len(records) == TileWidth {
			return nil, fmt.Errorf("ledger: an entry bundle has more than %d records", TileWidth)
		}
		if len(bundle) < 2 {
			return nil, errors.New("ledger: an entry bundle ends inside a length")
		}
		n := int(binary.BigEndian.Uint16(bundle))
		bundle = bundle[2:]
		if len(bundle) < n {
			return nil, fmt.Errorf("ledger: an entry bundle ends inside record %d: %d bytes are announced, %d are left", len(records), n, len(bundle))
		}
		records = append(records, bundle[:n:n])
		bundle = bundle[n:]
	}
	return records, nil
}
