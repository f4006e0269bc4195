#include "engine/containers/log_records.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/frames.h"
#include "base/json.h"

namespace berth::engine {

namespace {

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
    return frame_header(from_stderr ? 2 : 1, payload.size()) + payload;
}

/// Reads the fields of a protocol buffer one after the other.
class Fields final {
  public:
    explicit Fields(std::string_view bytes) : rest_(bytes) {}

    bool end() const { return rest_.empty(); }
    /// The next field's number; its value is in number() or bytes(). Throws Error{invalid}.
    unsigned next() {
        const std::uint64_t key = varint();
        value_ = varint();
        bytes_ = {};
        if ((key & 7U) == 0) return static_cast<unsigned>(key >> 3U);
        if ((key & 7U) != 2 || value_ > rest_.size()) damaged();
        bytes_ = rest_.substr(0, value_);
        rest_.remove_prefix(value_);
        return static_cast<unsigned>(key >> 3U);
    }
    std::uint64_t number() const { return value_; }
    std::string_view bytes() const { return bytes_; }

  private:
    [[noreturn]] static void damaged() { throw Error(ErrorKind::invalid, "damaged log record"); }
    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            if (rest_.empty()) damaged();
            const auto byte = static_cast<unsigned char>(rest_.front());
            rest_.remove_prefix(1);
            value |= std::uint64_t{byte & 0x7fU} << shift;
            if (byte < 0x80) return value;
        }
        damaged();
    }

    std::string_view rest_;
    std::uint64_t value_ = 0;
    std::string_view bytes_;
};

bool is_last_piece(std::string_view place) {
    for (Fields fields(place); !fields.end();)
        if (fields.next() == 1) return fields.number() != 0;
    return false;
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
        record.at = parse_rfc3339(r.string("time"));
        if (const nlohmann::json* attributes = r.find("attrs"))
            record.attributes = details_of(*attributes);
        return record;
    } catch (const Error&) {
        return std::nullopt;
    }
}

std::optional<LogRecord> parse_local_record(std::string_view entry) {
    LogRecord record;
    bool partial = false;
    bool last = false;
    try {
        for (Fields fields(entry); !fields.end();) {
            const unsigned field = fields.next();
            if (field == 1) record.from_stderr = fields.bytes() == "stderr";
            if (field == 2) record.at.ns = static_cast<std::int64_t>(fields.number());
            if (field == 3) record.text = fields.bytes();
            if (field == 4) partial = fields.number() != 0;
            if (field == 5) last = is_last_piece(fields.bytes());
        }
    } catch (const Error&) {
        return std::nullopt;
    }
    if (!partial || last) record.text += '\n';
    return record;
}

std::size_t local_length(std::string_view four_bytes) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < kLocalLength; ++i)
        value = value << 8U | static_cast<unsigned char>(four_bytes[i]);
    return value;
}

std::optional<FirstRecord> first_record(LogFormat format, std::string_view bytes) {
    if (format == LogFormat::json_lines) {
        const std::size_t end = bytes.find('\n');
        if (end == std::string_view::npos) return std::nullopt;
        return FirstRecord{end + 1, parse_log_record(bytes.substr(0, end))};
    }
    if (bytes.size() < kLocalLength) return std::nullopt;
    const std::size_t length = local_length(bytes);
    // Nothing tells where the next one begins.
    if (length > kMaxLocalRecord) return FirstRecord{bytes.size(), std::nullopt};
    const std::size_t size = length + 2 * kLocalLength;
    if (bytes.size() < size) return std::nullopt;
    return FirstRecord{size, parse_local_record(bytes.substr(kLocalLength, length))};
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

}  // namespace berth::engine
