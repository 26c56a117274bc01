package clock

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Clock is the wall clock of a process. It ends with the process: one that is
// started again has the machine's.
type Clock struct {
	pid    int
	offset int64 // the address of the offset in the memory of the process
}

// code is the clock_gettime that is put in: registers are those of the calling
// convention, and the offset in seconds lies right behind.
var code = []byte{
	0xb8, 0xe4, 0x00, 0x00, 0x00, // mov  eax, 228 (clock_gettime)
	0x0f, 0x05, // syscall
	0x85, 0xff, // test edi, edi (0 is the wall clock)
	0x75, 0x0a, // jne  to the end
	0x48, 0x8b, 0x15, 0x06, 0x00, 0x00, 0x00, // mov  rdx, [offset]
	0x48, 0x01, 0x16, // add  [rsi], rdx (the seconds)
	0xc3,       // ret
	0x90, 0x90, // to a multiple of eight
}

// jump is the size of the instruction that leads from the old code to the new.
const jump = 5

// Take takes the wall clock of a process into its hands. It shows the machine's
// time until it is set.
func Take(pid int) (*Clock, error) {
	c, err := take(pid)
	if err != nil {
		return nil, fmt.Errorf("taking the clock of process %d: %w", pid, err)
	}
	return c, nil
}

func take(pid int) (*Clock, error) {
	begin, end, err := findVDSO(pid)
	if err != nil {
		return nil, err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	image := make([]byte, end-begin)
	if _, err := memory.ReadAt(image, begin); err != nil {
		return nil, fmt.Errorf("reading the vDSO: %w", err)
	}
	entry, err := symbol(image, "__vdso_clock_gettime")
	if err != nil {
		return nil, err
	}
	// The image does not fill its last page.
	used := len(bytes.TrimRight(image, "\x00"))
	room := (used + 63) &^ 63
	if room+len(code)+8 > len(image) {
		return nil, errors.New("the vDSO has no room behind it")
	}
	if bytes.HasPrefix(image[entry:], []byte{0xe9}) {
		return nil, errors.New("it was taken before")
	}
	c := &Clock{pid: pid, offset: begin + int64(room+len(code))}
	leap := binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(int32(room-(entry+jump))))
	err = stopped(pid, begin+int64(entry), func() error {
		if _, err := memory.WriteAt(append(code, make([]byte, 8)...), begin+int64(room)); err != nil {
			return fmt.Errorf("writing to the vDSO: %w", err)
		}
		if _, err := memory.WriteAt(leap, begin+int64(entry)); err != nil {
			return fmt.Errorf("writing to the vDSO: %w", err)
		}
		return nil
	})
	return c, err
}

// Set makes the clock of the process go before the machine's, or behind it.
func (c *Clock) Set(offset time.Duration) error {
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", c.pid), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("setting a clock: %w", err)
	}
	defer memory.Close()
	seconds := binary.LittleEndian.AppendUint64(nil, uint64(int64(offset/time.Second)))
	if _, err := memory.WriteAt(seconds, c.offset); err != nil {
		return fmt.Errorf("setting the clock of process %d: %w", c.pid, err)
	}
	return nil
}

func findVDSO(pid int) (begin, end int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			_, err := fmt.Sscanf(line, "%x-%x", &begin, &end)
			return begin, end, err
		}
	}
	return 0, 0, errors.New("it has no vDSO")
}

// symbol is where a function begins in the image.
func symbol(image []byte, name string) (int, error) {
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, fmt.Errorf("reading the vDSO: %w", err)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return 0, fmt.Errorf("reading the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name == name && int(s.Value)+jump <= len(image) {
			return int(s.Value), nil
		}
	}
	return 0, fmt.Errorf("the vDSO has no %s", name)
}

// stopped calls f while the process stands still and none of its threads is in
// the middle of what f replaces.
func stopped(pid int, entry int64, f func() error) error {
	for range 100 {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
		safe, err := standsClear(pid, entry)
		if err == nil && safe {
			err = f()
		}
		if err := errors.Join(err, syscall.Kill(pid, syscall.SIGCONT)); err != nil || safe {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("its threads ask for the time without a pause")
}

// standsClear waits until all threads have stopped, and tells whether none of
// them has its program counter within the first bytes of the function.
func standsClear(pid int, entry int64) (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	if err != nil {
		return false, err
	}
	for _, thread := range threads {
		at, err := programCounter(thread)
		if err != nil {
			return false, err
		}
		if at > entry && at < entry+jump {
			return false, nil
		}
	}
	return true, nil
}

func programCounter(thread string) (int64, error) {
	for range 1000 {
		raw, err := os.ReadFile(thread)
		if errors.Is(err, os.ErrNotExist) {
			return 0, nil // the thread has ended
		}
		if err != nil {
			return 0, err
		}
		if words := strings.Fields(string(raw)); len(words) > 2 {
			at, err := strconv.ParseUint(strings.TrimPrefix(words[len(words)-1], "0x"), 16, 64)
			return int64(at), err
		}
		time.Sleep(time.Millisecond) // it still runs
	}
	return 0, errors.New("a thread did not stop")
}
