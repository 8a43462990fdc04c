package term

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/x/term"
)

// Confirm asks a question that is answered with y or n. Anything but a clear
// yes is a no.
func (s *Screen) Confirm(ctx context.Context, in io.Reader, question string) (bool, error) {
	answer, err := s.Ask(ctx, in, question+" [y/N] ")
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", err
}

// Ask prints a prompt and returns one line of the answer, which is empty where
// there is none. It does not outlast ctx, but whoever reads in afterwards may
// miss what was typed.
func (s *Screen) Ask(ctx context.Context, in io.Reader, prompt string) (string, error) {
	fmt.Fprint(s.W, Safe(prompt))
	return await(ctx, func() (string, error) {
		answer, err := bufio.NewReader(in).ReadString('\n')
		if errors.Is(err, io.EOF) {
			fmt.Fprintln(s.W)
			err = nil
		}
		return answer, err
	})
}

// Secret reads one line that is not shown while it is typed. The prompt is for
// a person; a program that writes to in sees none.
func (s *Screen) Secret(ctx context.Context, in *os.File, prompt string) (string, error) {
	if !IsTerminal(in) {
		return (&Screen{W: io.Discard}).Ask(ctx, in, "")
	}
	before, err := term.GetState(in.Fd())
	if err != nil {
		return "", fmt.Errorf("no answer: %w", err)
	}
	fmt.Fprint(s.W, Safe(prompt))
	answer, err := await(ctx, func() (string, error) {
		answer, err := term.ReadPassword(in.Fd())
		return string(answer), err
	})
	fmt.Fprintln(s.W)
	return answer, errors.Join(err, term.Restore(in.Fd(), before))
}

func await(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case a := <-got:
		if a.err != nil {
			return "", fmt.Errorf("no answer: %w", a.err)
		}
		return strings.TrimSpace(a.text), nil
	}
}
