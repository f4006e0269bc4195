#include "shim/gzip_file.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "linux/pid_fd.h"

namespace berth::shim {
namespace {

struct GzipCloser {
    void operator()(gzFile file) const { ::gzclose(file); }
};

void copy_compressed(BorrowedFd source, UniqueFd target, const std::string& name) {
    const std::unique_ptr<gzFile_s, GzipCloser> output{::gzdopen(target.get(), "wb")};
    if (!output) throw Error(ErrorKind::internal, "compressing {}: out of memory", name);
    (void)target.release();
    std::array<char, 32U << 10> buffer;
    for (;;) {
        const ssize_t count = ::read(source.get(), buffer.data(), buffer.size());
        if (count < 0) throw_errno("reading {}", name);
        if (count == 0) break;
        if (::gzwrite(output.get(), buffer.data(), static_cast<unsigned>(count)) != count)
            throw_errno("compressing {}", name);
    }
    if (::gzflush(output.get(), Z_FINISH) != Z_OK) throw_errno("compressing {}", name);
}

}  // namespace

void compress_file(const std::string& source, const std::string& target) {
    const UniqueFd input = open_file(source, O_RDONLY);
    const std::string partial = target + ".tmp";
    try {
        copy_compressed(input, open_file(partial, O_WRONLY | O_CREAT | O_TRUNC, 0640), source);
        if (::rename(partial.c_str(), target.c_str()) < 0) throw_errno("renaming {}", partial);
    } catch (...) {
        ::unlink(partial.c_str());
        throw;
    }
    ::unlink(source.c_str());
}

UniqueFd compress_in_child(const std::string& source, const std::string& target) {
    const pid_t child = ::fork();
    if (child < 0) throw_errno("starting a child to compress {}", source);
    if (child > 0) return duplicate(linux_os::PidFd::open(child).fd());
    // An inherited end of a pipe would keep the other side from seeing its end of file.
    ::syscall(SYS_close_range, 3U, ~0U, 0U);
    try {
        compress_file(source, target);
    } catch (const Error&) {
        ::_exit(1);
    }
    ::_exit(0);
}

}  // namespace berth::shim
