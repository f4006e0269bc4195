#include "archive/stream.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace berth::archive {

std::size_t FdSource::read(std::span<char> buffer) {
    for (;;) {
        const ssize_t count = ::read(fd_.get(), buffer.data(), buffer.size());
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EINTR) throw_errno("reading descriptor {}", fd_.get());
    }
}

std::size_t MemorySource::read(std::span<char> buffer) {
    const std::size_t count = std::min(buffer.size(), rest_.size());
    if (count != 0) std::memcpy(buffer.data(), rest_.data(), count);
    rest_.remove_prefix(count);
    return count;
}

std::size_t LimitedSource::read(std::span<char> buffer) {
    const std::size_t count = below_.read(buffer);
    if (count > left_)
        throw Error(ErrorKind::invalid, "{} is larger than the limit of {} bytes", what_, limit_);
    left_ -= count;
    return count;
}

void FdSink::write(std::string_view bytes) { write_all(fd_, bytes); }

std::size_t read_full(Source& source, std::span<char> buffer) {
    std::size_t done = 0;
    while (done < buffer.size()) {
        const std::size_t count = source.read(buffer.subspan(done));
        if (count == 0) break;
        done += count;
    }
    return done;
}

std::string read_to_string(Source& source, std::size_t limit) {
    std::string text;
    std::string block(16U << 10, '\0');
    while (const std::size_t count = source.read(block)) {
        text.append(block, 0, count);
        if (text.size() > limit)
            throw Error(ErrorKind::invalid, "stream is larger than the limit of {} bytes", limit);
    }
    return text;
}

std::uint64_t copy(Source& source, Sink& sink) {
    std::string block(kBlockSize, '\0');
    std::uint64_t total = 0;
    while (const std::size_t count = source.read(block)) {
        sink.write(std::string_view(block).substr(0, count));
        total += count;
    }
    return total;
}

std::uint64_t drain(Source& source) {
    std::string block(kBlockSize, '\0');
    std::uint64_t total = 0;
    while (const std::size_t count = source.read(block)) total += count;
    return total;
}

}  // namespace berth::archive
