#include "shim/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/file.h"
#include "linux/pid_fd.h"
#include "shim/gzip_file.h"

namespace berth::shim {
namespace {

constexpr std::size_t kBatch = 64U << 10;
constexpr mode_t kMode = 0640;

void rename_if_exists(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) < 0 && errno != ENOENT)
        throw_errno("renaming {} to {}", from, to);
}

}  // namespace

LogFile::LogFile(LogConfig config) : config_(std::move(config)) { open(); }

void LogFile::open() {
    file_ = open_file(config_.path, O_WRONLY | O_CREAT | O_APPEND, kMode);
    // The umask is the engine's: a shipper in the file's group must be able to read.
    if (::fchmod(file_.get(), kMode) < 0) throw_errno("setting the mode of {}", config_.path);
    struct stat status {};
    if (::fstat(file_.get(), &status) < 0) throw_errno("reading the size of {}", config_.path);
    size_ = status.st_size;
}

void LogFile::append(std::string_view record) {
    if (config_.max_size > 0 && size_ >= config_.max_size) {
        flush();
        rotate();
    }
    waiting_.append(record);
    size_ += static_cast<std::int64_t>(record.size());
    if (waiting_.size() >= kBatch) flush();
}

void LogFile::flush() {
    if (waiting_.empty()) return;
    const std::string batch = std::move(waiting_);
    waiting_ = {};
    try {
        write_all(file_, batch);
    } catch (...) {
        drop_tail(batch.size());
        throw;
    }
}

// A full disk cuts a record anywhere; the next one must not continue it.
void LogFile::drop_tail(std::size_t unwritten) {
    size_ -= static_cast<std::int64_t>(unwritten);
    struct stat status {};
    if (::fstat(file_.get(), &status) < 0 || status.st_size <= size_) return;
    if (::ftruncate(file_.get(), size_) < 0)
        throw_errno("cutting a half record off {}", config_.path);
}

void LogFile::rotate() {
    if (config_.max_file < 2) {
        if (::ftruncate(file_.get(), 0) < 0) throw_errno("truncating {}", config_.path);
        size_ = 0;
        return;
    }
    if (compressing_) {  // it still reads the file that is to be renamed now
        pollfd child{compressing_.get(), POLLIN, 0};
        while (::poll(&child, 1, -1) < 0 && errno == EINTR) {
        }
        compressing_.reset();
    }
    const std::string suffix = config_.compress ? ".gz" : "";
    const auto rotated = [&](int number) { return fmt::format("{}.{}", config_.path, number); };
    for (int number = config_.max_file - 1; number > 1; --number)
        rename_if_exists(rotated(number - 1) + suffix, rotated(number) + suffix);
    rename_if_exists(config_.path, rotated(1));
    open();
    if (config_.compress) compressing_ = compress_in_child(rotated(1), rotated(1) + ".gz");
}

}  // namespace berth::shim
