#include "engine/containers/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "archive/compression.h"
#include "base/error.h"
#include "linux/nameless_file.h"

namespace berth::engine {

namespace {

constexpr std::size_t kPiece = 64U << 10;
constexpr std::size_t kHead = 256;

UniqueFd open_log_file(const std::string& path) {
    return UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
}

bool same_file(BorrowedFd file, const std::string& path) {
    struct stat ours {};
    struct stat theirs {};
    return fstat(file.get(), &ours) == 0 && stat(path.c_str(), &theirs) == 0 &&
           ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

/// The first record tells, by its time, which file it is.
std::string head_of_compressed(BorrowedFd file) {
    std::string head(kHead, '\0');
    archive::FdSource source(file);
    try {
        head.resize(archive::read_full(*archive::decompress(source), head));
    } catch (const Error&) {
        head.clear();  // damaged
    }
    lseek(file.get(), 0, SEEK_SET);
    return head;
}

std::string head_of_plain(BorrowedFd file) {
    std::string head(kHead, '\0');
    const ssize_t count = pread(file.get(), head.data(), head.size(), 0);
    head.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return head;
}

bool is_same(BorrowedFd file, bool compressed, BorrowedFd known) {
    struct stat ours {};
    struct stat theirs {};
    if (fstat(file.get(), &ours) != 0 || fstat(known.get(), &theirs) != 0) return false;
    if (ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev) return true;
    return compressed && head_of_compressed(file) == head_of_plain(known);
}

}  // namespace

LogReader::LogReader(LogFiles files, LogSelection selection)
    : log_(std::move(files)), selection_(selection) {}

/// Opened at once, so that a rotation meanwhile loses nothing. One between two of the opens would
/// show the same file twice: it is passed over.
void LogReader::open_newer_than(BorrowedFd known) {
    if (UniqueFd live = open_log_file(log_.path)) files_.push_back({std::move(live)});
    for (int number = 1;; ++number) {
        File file = open_rotated(number);
        if (!file.fd || (known && is_same(file.fd, file.compressed, known))) return;
        if (files_.empty() || !is_same(file.fd, file.compressed, files_.back().fd))
            files_.push_back(std::move(file));
    }
}

void LogReader::open_files() {
    opened_ = true;
    open_newer_than({});
    if (files_.empty()) return;
    if (selection_.tail) {
        const auto open = [this](std::size_t number) { return plain(files_[number]); };
        tail_.emplace(log_.format, *selection_.tail, files_.size(), open);
        return;
    }
    while (files_.size() > 1 && older_than_wanted(files_.back())) files_.pop_back();
}

/// A file is compressed a little after it was rotated, and then the plain one goes.
LogReader::File LogReader::open_rotated(int number) const {
    const std::string path = fmt::format("{}.{}", log_.path, number);
    if (UniqueFd file = open_log_file(path)) return {std::move(file)};
    return {open_log_file(path + ".gz"), true};
}

/// Written to the last time before `since`.
bool LogReader::older_than_wanted(const File& file) const {
    struct stat status {};
    if (selection_.since.ns == 0 || fstat(file.fd.get(), &status) != 0) return false;
    return status.st_mtim.tv_sec + 1 < selection_.since.seconds();
}

/// The file itself, or what it was before it was compressed. A damaged one counts up to there.
BorrowedFd LogReader::plain(File& file) {
    if (!std::exchange(file.compressed, false)) return file.fd;
    UniqueFd unpacked = linux_os::nameless_file(log_.path.substr(0, log_.path.rfind('/')));
    archive::FdSource source(file.fd);
    archive::FdSink sink(unpacked);
    try {
        archive::copy(*archive::decompress(source), sink);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::invalid) throw;
    }
    lseek(unpacked.get(), 0, SEEK_SET);
    file.fd = std::move(unpacked);
    return file.fd;
}

/// Opens the file after the present one. False at the end of the live one.
bool LogReader::next_file() {
    if (files_.empty()) {
        if (file_ && same_file(file_, log_.path)) return false;
        // Rotated, maybe several times: what was live is read to its end, now comes what is newer.
        open_newer_than(file_);
        if (files_.empty()) return false;
    }
    plain(files_.back());
    file_ = std::move(files_.back().fd);
    files_.pop_back();
    pending_.clear();
    return true;
}

bool LogReader::read_more() {
    std::string piece(kPiece, '\0');
    while (true) {
        const ssize_t count = file_ ? ::read(file_.get(), piece.data(), piece.size()) : 0;
        if (count > 0) {
            pending_.append(piece.data(), static_cast<std::size_t>(count));
            return true;
        }
        // A log that is truncated in place (max-file 1) begins again.
        struct stat status {};
        if (file_ && files_.empty() && fstat(file_.get(), &status) == 0 &&
            lseek(file_.get(), 0, SEEK_CUR) > status.st_size) {
            lseek(file_.get(), 0, SEEK_SET);
            pending_.clear();
            continue;
        }
        if (!next_file()) return false;
    }
}

std::string LogReader::take_records() {
    std::string out;
    std::size_t from = 0;
    while (!past_end_) {
        const auto first = first_record(log_.format, std::string_view(pending_).substr(from));
        if (!first) break;
        from += first->size;
        if (!first->record) continue;
        if (selection_.until.ns != 0 && first->record->at > selection_.until) {
            past_end_ = true;
            break;
        }
        out += render(*first->record, selection_);
    }
    pending_.erase(0, from);
    return out;
}

LogPiece LogReader::read() {
    if (!opened_) open_files();
    std::size_t budget = kReadBudget;
    if (tail_) {
        if (const auto place = tail_->search(budget)) {
            files_.resize(place->file + 1);
            lseek(files_.back().fd.get(), place->position, SEEK_SET);
            tail_.reset();
        }
    }
    while (!past_end_ && !tail_ && budget > 0) {
        if (!read_more()) return {};
        std::string out = take_records();
        if (!out.empty()) return {std::move(out), true};
        budget -= std::min(budget, kPiece);
    }
    return {"", !past_end_};
}

}  // namespace berth::engine
