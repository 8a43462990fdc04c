package projection

import (
	"context"

	"github.com/writhq/writ"
	"github.com/writhq/writ/internal/store/database"
)

// Rebuild makes everything that is derived from size events again, in the
// transaction of c. It returns Broken if a stream does not hold. Progress,
// unless nil, is told from time to time how many of the events are done.
func Rebuild(ctx context.Context, c *database.Conn, size int64, progress func(done, total int64)) error {
	for _, t := range []database.Table{Requests, States, Links, Documents} {
		c.Exec("DELETE FROM " + t.Name)
	}
	var done int64
	return histories(ctx, c, nil, func(page []*history) error {
		var rows Rows
		for _, h := range page {
			switch {
			case h.broken != nil:
				return *h.broken
			case h.of == "request":
				if err := rows.Add(writ.Request{}, h.request); err != nil {
					return err
				}
			case h.of == "document":
				rows.AddDocument(h.stream, h.last())
			}
			done += int64(len(h.entries))
		}
		if progress != nil {
			progress(done, size)
		}
		rows.Write(c)
		return nil
	})
}
