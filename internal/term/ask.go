package term

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Confirm asks a question that is answered with y or n. Anything but a clear
// yes is a no.
func (s *Screen) Confirm(in io.Reader, question string) (bool, error) {
	answer, err := s.Ask(in, question+" [y/N] ")
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", err
}

// Ask prints a prompt and returns one line of the answer, which is empty where
// there is none.
func (s *Screen) Ask(in io.Reader, prompt string) (string, error) {
	fmt.Fprint(s.W, Safe(prompt))
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("no answer: %w", err)
	}
	if err != nil {
		fmt.Fprintln(s.W)
	}
	return strings.TrimSpace(answer), nil
}
