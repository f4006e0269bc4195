#include "engine/containers/log_tail.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace berth::engine {

namespace {

constexpr std::size_t kTailPiece = 64U << 10;
/// A record that is just being written looks damaged for a moment.
constexpr int kMaxTries = 20;

/// The length that stands at `position`; nothing at the file's end.
std::optional<std::size_t> length_at(BorrowedFd file, off_t position) {
    char bytes[kLocalLength];
    if (position < 0 || pread(file.get(), bytes, sizeof bytes, position) != sizeof bytes)
        return std::nullopt;
    return local_length({bytes, sizeof bytes});
}

}  // namespace

LogTail::LogTail(LogFormat format, std::size_t records, std::size_t files, Open open)
    : format_(format), left_(records), files_(files), open_(std::move(open)) {
    enter(0);
}

void LogTail::enter(std::size_t file) {
    file_ = file;
    fd_ = open_(file);
    left_at_entry_ = left_;
    struct stat status {};
    position_ = fstat(fd_.get(), &status) == 0 ? status.st_size : 0;
}

std::optional<LogTail::Place> LogTail::search(std::size_t& budget) {
    while (budget > 0) {
        if (position_ == 0) {
            if (file_ + 1 == files_ || left_ == 0) return all_of_file();
            enter(file_ + 1);
            budget -= 1;
            continue;
        }
        const auto place =
            format_ == LogFormat::json_lines ? step_lines(budget) : step_local(budget);
        if (place) return place;
    }
    return std::nullopt;
}

std::optional<LogTail::Place> LogTail::step_lines(std::size_t& budget) {
    std::string piece(kTailPiece, '\0');
    const off_t from = std::max<off_t>(0, position_ - static_cast<off_t>(kTailPiece));
    const auto wanted = static_cast<std::size_t>(position_ - from);
    const ssize_t count = pread(fd_.get(), piece.data(), wanted, from);
    // Truncated meanwhile (max-file 1): what is there now is new.
    if (count != static_cast<ssize_t>(wanted)) return all_of_file();
    for (std::size_t i = wanted; i-- > 0;) {
        if (piece[i] != '\n') continue;
        if (left_ == 0) return Place{file_, from + static_cast<off_t>(i) + 1};
        --left_;
    }
    position_ = from;
    budget -= std::min(budget, wanted);
    return std::nullopt;
}

std::optional<LogTail::Place> LogTail::step_local(std::size_t& budget) {
    if (left_ == 0) return Place{file_, position_};
    constexpr auto kLength = static_cast<off_t>(kLocalLength);
    const auto length = length_at(fd_, position_ - kLength);
    const off_t begin = position_ - 2 * kLength - static_cast<off_t>(length.value_or(0));
    if (!length || length_at(fd_, begin) != length) {
        if (++tries_ > kMaxTries) return all_of_file();
        left_ = left_at_entry_;
        enter(file_);
        return std::nullopt;
    }
    position_ = begin;
    --left_;
    budget -= std::min<std::size_t>(budget, 2 * kLocalLength + 64);  // two system calls
    return std::nullopt;
}

}  // namespace berth::engine
