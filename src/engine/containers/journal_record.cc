#include "engine/containers/journal_record.h"

#include <charconv>
#include <set>

#include "base/error.h"

namespace berth::engine {

namespace {

constexpr std::size_t kMaxEntry = 64U << 20;

/// Fields that each message has; the others are the user's labels and variables.
bool is_well_known(const std::string& name) {
    static const std::set<std::string> kNames = {
        "MESSAGE",       "PRIORITY",   "CONTAINER_ID",      "CONTAINER_ID_FULL", "CONTAINER_NAME",
        "CONTAINER_TAG", "IMAGE_NAME", "SYSLOG_IDENTIFIER", "SYSLOG_TIMESTAMP"};
    return name.starts_with('_') || name.starts_with("CONTAINER_PARTIAL_") || kNames.contains(name);
}

std::string field(const JournalEntry& entry, const char* name) {
    const auto found = entry.find(name);
    return found == entry.end() ? std::string() : found->second;
}

Timestamp time_of(const JournalEntry& entry) {
    try {
        return parse_rfc3339(field(entry, "SYSLOG_TIMESTAMP"));
    } catch (const Error&) {
        const std::string text = field(entry, "__REALTIME_TIMESTAMP");
        Timestamp at;
        std::from_chars(text.data(), text.data() + text.size(), at.ns);
        at.ns *= 1000;
        return at;
    }
}

std::size_t little_endian(std::string_view bytes) {
    std::size_t value = 0;
    for (std::size_t i = 8; i-- > 0;) value = value << 8U | static_cast<unsigned char>(bytes[i]);
    return value;
}

}  // namespace

std::optional<JournalEntry> JournalParser::next() {
    if (pending_.size() > kMaxEntry)
        throw Error(ErrorKind::invalid, "an entry of the journal has more than {} bytes",
                    kMaxEntry);
    JournalEntry entry;
    for (std::size_t at = 0;;) {
        const std::size_t end = pending_.find('\n', at);
        if (end == std::string::npos) return std::nullopt;
        const std::string line = pending_.substr(at, end - at);
        at = end + 1;
        if (line.empty()) {
            pending_.erase(0, at);
            if (!entry.empty()) return entry;
            at = 0;
            continue;
        }
        if (const std::size_t equals = line.find('='); equals != std::string::npos) {
            entry[line.substr(0, equals)] = line.substr(equals + 1);
            continue;
        }
        // A name alone: the value's length follows, the value, and a line break.
        if (pending_.size() < at + 8) return std::nullopt;
        const std::size_t size = little_endian(std::string_view(pending_).substr(at));
        if (size > kMaxEntry)
            throw Error(ErrorKind::invalid, "field {} of the journal has {} bytes", line, size);
        if (pending_.size() < at + 8 + size + 1) return std::nullopt;
        entry[line] = pending_.substr(at + 8, size);
        at += 8 + size + 1;
    }
}

LogRecord record_of(const JournalEntry& entry) {
    LogRecord record;
    record.text = field(entry, "MESSAGE");
    const bool partial = field(entry, "CONTAINER_PARTIAL_MESSAGE") == "true" &&
                         field(entry, "CONTAINER_PARTIAL_LAST") != "true";
    if (!partial) record.text += '\n';
    record.from_stderr = field(entry, "PRIORITY") == "3";
    record.at = time_of(entry);
    std::map<std::string, std::string> attributes;
    for (const auto& [name, value] : entry)
        if (!is_well_known(name)) attributes.emplace(name, value);
    record.attributes = details_text(attributes);
    return record;
}

}  // namespace berth::engine
