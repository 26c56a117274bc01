package disk

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// handle is an open file. It does not embed the file behind: the kernel would
// find that it can read and write that by itself, and the faults would not be
// met.
type handle struct {
	file  *fs.LoopbackFile
	state *state
}

var (
	_ fs.FileReader    = (*handle)(nil)
	_ fs.FileWriter    = (*handle)(nil)
	_ fs.FileFsyncer   = (*handle)(nil)
	_ fs.FileAllocater = (*handle)(nil)
	_ fs.FileReleaser  = (*handle)(nil)
	_ fs.FileFlusher   = (*handle)(nil)
	_ fs.FileGetattrer = (*handle)(nil)
	_ fs.FileSetattrer = (*handle)(nil)
	_ fs.FileLseeker   = (*handle)(nil)
)

func (h *handle) Read(ctx context.Context, to []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	return h.file.Read(ctx, to, at)
}

func (h *handle) Write(ctx context.Context, data []byte, at int64) (uint32, syscall.Errno) {
	if errno := h.state.fate(grow); errno != 0 {
		return 0, errno
	}
	return h.file.Write(ctx, data, at)
}

func (h *handle) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if errno := h.state.fate(flush); errno != 0 {
		return errno
	}
	return h.file.Fsync(ctx, flags)
}

func (h *handle) Allocate(ctx context.Context, at, size uint64, mode uint32) syscall.Errno {
	if errno := h.state.fate(grow); errno != 0 {
		return errno
	}
	return h.file.Allocate(ctx, at, size, mode)
}

func (h *handle) Setattr(ctx context.Context, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if errno := h.state.fate(change); errno != 0 {
		return errno
	}
	return h.file.Setattr(ctx, in, out)
}

func (h *handle) Getattr(ctx context.Context, out *fuse.AttrOut) syscall.Errno {
	return h.file.Getattr(ctx, out)
}

func (h *handle) Lseek(ctx context.Context, at uint64, whence uint32) (uint64, syscall.Errno) {
	return h.file.Lseek(ctx, at, whence)
}

func (h *handle) Flush(ctx context.Context) syscall.Errno   { return h.file.Flush(ctx) }
func (h *handle) Release(ctx context.Context) syscall.Errno { return h.file.Release(ctx) }
