package audit_test

import (
	"bufio"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/floeberg/floeberg/ops/audit"
)

// header is what RFC 5424 puts before a message: facility 13 at severity 6.
var header = regexp.MustCompile(`^<110>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]+ floeberg \d+ audit - (\{.*\})$`)

// wantMessages insists on syslog messages that are a chain.
func wantMessages(t *testing.T, messages []string) {
	t.Helper()
	for i, m := range messages {
		found := header.FindStringSubmatch(m)
		if found == nil {
			t.Fatalf("%q is no message", m)
		}
		if line := parse(t, found[1]); line.Seq != uint64(i+1) {
			t.Errorf("message %d is record %d", i+1, line.Seq)
		}
	}
}

func syslog(t *testing.T, url string) audit.Sink {
	t.Helper()
	s, err := audit.NewSyslog(url, newClock().Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ensure(t *testing.T, log *audit.Log, n int) {
	t.Helper()
	for range n {
		if err := log.Ensure(t.Context(), audit.Record{Event: audit.Decision, Principal: "a\nb"}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSyslogByDatagrams(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			address := "127.0.0.1:0"
			if network == "unixgram" {
				address = filepath.Join(t.TempDir(), "log")
			}
			collector, err := net.ListenPacket(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer collector.Close()
			url := "syslog://" + collector.LocalAddr().String()
			if network == "unixgram" {
				url = "syslog+unix://" + address
			}
			log := open(t, audit.Options{Sinks: []audit.Sink{syslog(t, url)}, OnFailure: audit.Refuse})
			ensure(t, log, 3)
			var messages []string
			buf := make([]byte, 64<<10)
			for range 4 {
				n, _, err := collector.ReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				messages = append(messages, string(buf[:n]))
			}
			wantMessages(t, messages)
		})
	}
}

func TestSyslogByStream(t *testing.T) {
	t.Parallel()
	collector, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	log := open(t, audit.Options{Sinks: []audit.Sink{syslog(t, "syslog+tcp://"+collector.Addr().String())}, OnFailure: audit.Refuse})
	ensure(t, log, 3)
	conn, err := collector.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var messages []string
	for range 4 {
		length, err := in.ReadString(' ')
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, " "))
		if err != nil {
			t.Fatal(err)
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(in, message); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, string(message))
	}
	wantMessages(t, messages)
}

// A collector that comes late gets what was waiting.
func TestSyslogThatComesLate(t *testing.T) {
	t.Parallel()
	address := filepath.Join(t.TempDir(), "log")
	log := open(t, audit.Options{Sinks: []audit.Sink{syslog(t, "syslog+unix://"+address)}, OnFailure: audit.Refuse})
	await(t, "the failure to be noticed", func() bool { return len(log.Trouble()) == 1 })
	if err := log.Ensure(t.Context(), audit.Record{Event: audit.Decision}); err == nil {
		t.Error("a change is let through")
	}
	collector, err := net.ListenPacket("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	await(t, "the sink to be well", func() bool { return len(log.Trouble()) == 0 })
	buf := make([]byte, 64<<10)
	var messages []string
	for range 2 {
		n, _, err := collector.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, string(buf[:n]))
	}
	wantMessages(t, messages)
}
