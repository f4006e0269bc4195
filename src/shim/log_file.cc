#include "shim/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/error.h"
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

void remove_if_exists(const std::string& path) {
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) throw_errno("removing {}", path);
}

// A rotated file is compressed, or plain when that failed or was not wanted when it was made.
void shift(const std::string& from, const std::string& to) {
    if (exists(from)) {
        rename_if_exists(from, to);
        remove_if_exists(from + ".gz");
        remove_if_exists(to + ".gz");
    } else if (exists(from + ".gz")) {
        rename_if_exists(from + ".gz", to + ".gz");
        remove_if_exists(to);
    }
}

UniqueFd open_log(const std::string& path, int flags) {
    UniqueFd file = open_file(path, O_WRONLY | O_CREAT | O_APPEND | flags, kMode);
    // The umask is the engine's: a shipper in the file's group must be able to read.
    if (::fchmod(file.get(), kMode) < 0) throw_errno("setting the mode of {}", path);
    return file;
}

}  // namespace

LogFile::LogFile(LogConfig config) : config_(std::move(config)) { open(); }

void LogFile::open() {
    file_ = open_log(config_.path, 0);
    struct stat status {};
    if (::fstat(file_.get(), &status) < 0) throw_errno("reading the size of {}", config_.path);
    size_ = status.st_size;
}

void LogFile::append(std::string_view record) {
    if (config_.max_size > 0 && size_ >= config_.max_size) {
        write_waiting();
        try {
            rotate();
        } catch (const Error& error) {  // the next record tries again
            rotation_error_ = error;
        }
    }
    waiting_.append(record);
    size_ += static_cast<std::int64_t>(record.size());
    if (waiting_.size() >= kBatch) write_waiting();
}

void LogFile::flush() {
    write_waiting();
    if (const auto error = std::exchange(rotation_error_, std::nullopt)) throw *error;
}

void LogFile::write_waiting() {
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
    // First of all: without a new file (no descriptors, no space) the old one goes on.
    const std::string next = config_.path + ".next";
    UniqueFd file = open_log(next, O_TRUNC);
    const auto rotated = [&](int number) { return fmt::format("{}.{}", config_.path, number); };
    for (int number = config_.max_file - 1; number > 1; --number)
        shift(rotated(number - 1), rotated(number));
    remove_if_exists(rotated(1) + ".gz");  // max-file 2: nothing was shifted
    rename_if_exists(config_.path, rotated(1));
    rename_if_exists(next, config_.path);
    file_ = std::move(file);
    size_ = 0;
    if (config_.compress) compressing_ = compress_in_child(rotated(1), rotated(1) + ".gz");
}

}  // namespace berth::shim
