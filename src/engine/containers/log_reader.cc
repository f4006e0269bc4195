#include "engine/containers/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace berth::engine {

namespace {

constexpr std::size_t kPiece = 64U << 10;

UniqueFd open_log_file(const std::string& path) {
    return UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
}

std::string url_escape(const std::string& text) {
    std::string out;
    for (const char c : text) {
        const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' ||
                           c == '_' || c == '.' || c == '~';
        if (plain) {
            out += c;
        } else {
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

std::string details_of(const nlohmann::json& attributes) {
    std::map<std::string, std::string> texts;
    for (const auto& [key, value] : attributes.items())
        if (value.is_string()) texts.emplace(key, value.get<std::string>());
    return details_text(texts);
}

std::string frame(const std::string& payload, bool from_stderr) {
    const auto length = static_cast<std::uint32_t>(payload.size());
    std::string bytes = {static_cast<char>(from_stderr ? 2 : 1),
                         0,
                         0,
                         0,
                         static_cast<char>(length >> 24),
                         static_cast<char>(length >> 16),
                         static_cast<char>(length >> 8),
                         static_cast<char>(length)};
    return bytes + payload;
}

bool same_file(BorrowedFd file, const std::string& path) {
    struct stat ours {};
    struct stat theirs {};
    return fstat(file.get(), &ours) == 0 && stat(path.c_str(), &theirs) == 0 &&
           ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

}  // namespace

std::string details_text(const std::map<std::string, std::string>& attributes) {
    std::string text;
    for (const auto& [key, value] : attributes)
        text += (text.empty() ? "" : ",") + url_escape(key) + "=" + url_escape(value);
    return text;
}

std::optional<LogRecord> parse_log_record(std::string_view line) {
    try {
        const nlohmann::json value = parse_json(line);
        const JsonReader r(value);
        LogRecord record;
        record.text = r.string("log");
        record.from_stderr = r.string("stream") == "stderr";
        record.time = r.string("time");
        record.at = parse_rfc3339(record.time);
        if (const nlohmann::json* attributes = r.find("attrs"))
            record.attributes = details_of(*attributes);
        return record;
    } catch (const Error&) {
        return std::nullopt;
    }
}

std::string render(const LogRecord& record, const LogSelection& selection) {
    if (record.from_stderr ? !selection.stderr_ : !selection.stdout_) return "";
    if (selection.since.ns != 0 && record.at < selection.since) return "";
    std::string line;
    if (selection.timestamps) line += rfc3339(record.at, Fraction::nine) + " ";
    if (selection.details) line += record.attributes + " ";
    line += record.text;
    return selection.kind == StreamKind::raw ? line : frame(line, record.from_stderr);
}

LogReader::LogReader(std::string path, LogSelection selection)
    : path_(std::move(path)), selection_(selection) {}

/// Opened at once, so that a rotation meanwhile loses nothing. One between two of the opens would
/// show the same file twice: it is passed over. Compressed files are left to those who ship them.
void LogReader::open_files() {
    opened_ = true;
    if (UniqueFd live = open_log_file(path_)) files_.push_back(std::move(live));
    for (int number = 1;; ++number) {
        const std::string path = fmt::format("{}.{}", path_, number);
        UniqueFd file = open_log_file(path);
        if (!file) break;
        if (files_.empty() || !same_file(files_.back(), path)) files_.push_back(std::move(file));
    }
    if (!selection_.tail || files_.empty()) return;
    search_ = TailSearch{.lines_left = *selection_.tail};
    search_file(0);
}

void LogReader::search_file(std::size_t file) {
    search_->file = file;
    struct stat status {};
    search_->position = fstat(files_[file].get(), &status) == 0 ? status.st_size : 0;
}

/// Goes on with the search until it ends or the budget is used up.
void LogReader::search_tail(std::size_t& budget) {
    std::string piece(kPiece, '\0');
    while (budget > 0) {
        if (search_->position == 0) {
            const bool oldest = search_->file + 1 == files_.size();
            if (oldest || search_->lines_left == 0) return begin_at(0);
            search_file(search_->file + 1);
            continue;
        }
        const off_t from = std::max<off_t>(0, search_->position - static_cast<off_t>(kPiece));
        const auto wanted = static_cast<std::size_t>(search_->position - from);
        const ssize_t count = pread(files_[search_->file].get(), piece.data(), wanted, from);
        // Truncated meanwhile (max-file 1): what is there now is new.
        if (count != static_cast<ssize_t>(wanted)) return begin_at(0);
        for (std::size_t i = wanted; i-- > 0;) {
            if (piece[i] != '\n') continue;
            if (search_->lines_left == 0) return begin_at(from + static_cast<off_t>(i) + 1);
            --search_->lines_left;
        }
        search_->position = from;
        budget -= std::min(budget, wanted);
    }
}

/// Reading begins at `position` of the file that the search is at; older ones are not needed.
void LogReader::begin_at(off_t position) {
    files_.resize(search_->file + 1);
    lseek(files_.back().get(), position, SEEK_SET);
    search_.reset();
}

/// Opens the file after the present one. False at the end of the live one.
bool LogReader::next_file() {
    if (!files_.empty()) {
        file_ = std::move(files_.back());
        files_.pop_back();
        return true;
    }
    if (file_ && same_file(file_, path_)) return false;
    // Rotated: what was live is read to its end, now comes the new one.
    file_ = open_log_file(path_);
    return static_cast<bool>(file_);
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
            continue;
        }
        if (!next_file()) return false;
    }
}

std::string LogReader::take_lines() {
    std::string out;
    std::size_t from = 0;
    while (!past_end_) {
        const std::size_t end = pending_.find('\n', from);
        if (end == std::string::npos) break;
        const std::string_view line = std::string_view(pending_).substr(from, end - from);
        from = end + 1;
        const std::optional<LogRecord> record = parse_log_record(line);
        if (!record) continue;
        if (selection_.until.ns != 0 && record->at > selection_.until) {
            past_end_ = true;
            break;
        }
        out += render(*record, selection_);
    }
    pending_.erase(0, from);
    return out;
}

LogPiece LogReader::read() {
    if (!opened_) open_files();
    std::size_t budget = kReadBudget;
    if (search_) search_tail(budget);
    while (!past_end_ && !search_ && budget > 0) {
        if (!read_more()) return {};
        std::string out = take_lines();
        if (!out.empty()) return {std::move(out), true};
        budget -= std::min(budget, kPiece);
    }
    return {"", !past_end_};
}

}  // namespace berth::engine
