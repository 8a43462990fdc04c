//go:build !unix

package child

// foreground reports true: without process groups, whatever has a console
// shares its interrupts.
func foreground() bool { return true }
