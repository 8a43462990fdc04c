package connectortest

import (
	"net"
	"sync"
	"testing"
)

// A Proxy stands between a client and a TCP server and makes the network fail
// at a chosen message. A message is what one read from the client returns: for
// protocols of question and answer, one question.
type Proxy struct {
	listener net.Listener
	upstream string

	mu     sync.Mutex
	conns  []net.Conn
	fault  Fault
	seen   int           // messages since Arm
	struck chan struct{} // closed when the armed fault happens; nil: none is armed
	down   bool          // connections are refused
	silent bool          // nothing is passed on
}

// A Fault is one failure of the network.
type Fault struct {
	Message int  // which message it strikes, counted from 1 over all connections
	Done    bool // the message still arrives and only its answer is lost: it was done
	Stall   bool // the network falls silent; else all connections are cut and new ones refused
}

// NewProxy starts a proxy before upstream, a host:port. It ends with the test.
func NewProxy(t testing.TB, upstream string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, upstream: upstream}
	go p.accept()
	t.Cleanup(func() {
		_ = l.Close()
		p.Heal()
	})
	return p
}

// Addr returns the host:port to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Arm makes f happen once, and returns a channel that is closed when it has.
// The network stays as f left it until Heal.
func (p *Proxy) Arm(f Fault) (struck <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.seen, p.struck = f, 0, make(chan struct{})
	return p.struck
}

// Down cuts every connection and refuses new ones until Heal.
func (p *Proxy) Down() { p.reset(true) }

// Heal cuts what is left of the old connections and lets new ones through.
func (p *Proxy) Heal() { p.reset(false) }

func (p *Proxy) reset(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.silent, p.struck = down, false, nil
	p.cut()
}

func (p *Proxy) cut() {
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // the test is over
		}
		p.mu.Lock()
		if p.down {
			_ = client.Close()
		} else if server, err := net.Dial("tcp", p.upstream); err != nil {
			_ = client.Close()
		} else {
			p.conns = append(p.conns, client, server)
			l := &link{p, client, server, false}
			go l.pass(client, server, l.question)
			go l.pass(server, client, l.answer)
		}
		p.mu.Unlock()
	}
}

// A link is one connection through the proxy.
type link struct {
	*Proxy
	client, server net.Conn
	lost           bool // the next answer is the one the fault takes
}

func (l *link) pass(from, to net.Conn, through func() bool) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if n > 0 && through() {
			_, _ = to.Write(buf[:n]) // the next read shows whether it broke
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

// question reports whether a message from the client goes through.
func (l *link) question() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen++; l.struck == nil || l.silent || l.seen != l.fault.Message {
		return !l.silent
	}
	if l.lost = l.fault.Done; !l.lost {
		l.strike()
	}
	return l.lost
}

// answer reports whether a message from the server goes through.
func (l *link) answer() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost && l.struck != nil && !l.silent {
		l.strike()
		return false
	}
	return !l.silent
}

func (l *link) strike() {
	if close(l.struck); l.fault.Stall {
		l.silent = true
		return
	}
	l.struck, l.down = nil, true
	l.cut()
}
