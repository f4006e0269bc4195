#include "shim/log_encoder.h"

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace berth::shim {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

unsigned char byte_at(std::string_view text, std::size_t at) {
    return static_cast<unsigned char>(text[at]);
}

// Bytes of the character that `lead` begins; 0 when it begins none.
std::size_t length_by_lead(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead <= 0xdf) return 2;
    if (lead >= 0xe0 && lead <= 0xef) return 3;
    if (lead >= 0xf0 && lead <= 0xf4) return 4;
    return 0;
}

bool is_continuation(unsigned char byte) { return (byte & 0xc0U) == 0x80; }

// Overlong forms, surrogates and code points past U+10FFFF show in the second byte.
bool second_byte_fits(unsigned char lead, unsigned char second) {
    if (lead == 0xe0) return second >= 0xa0;
    if (lead == 0xed) return second <= 0x9f;
    if (lead == 0xf0) return second >= 0x90;
    if (lead == 0xf4) return second <= 0x8f;
    return true;
}

// Length of the valid character at `at`, 0 when there is none.
std::size_t character_length(std::string_view text, std::size_t at) {
    const unsigned char lead = byte_at(text, at);
    const std::size_t length = length_by_lead(lead);
    if (length == 0 || at + length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if (!is_continuation(byte_at(text, at + i))) return 0;
    if (length > 1 && !second_byte_fits(lead, byte_at(text, at + 1))) return 0;
    return length;
}

bool is_plain(unsigned char byte) {
    return byte >= 0x20 && byte < 0x80 && byte != '\\' && byte != '"' && byte != '<' &&
           byte != '>' && byte != '&';
}

void append_ascii(std::string& target, unsigned char byte) {
    switch (byte) {
        case '\\':
        case '"':
            target += '\\';
            target += static_cast<char>(byte);
            return;
        case '\n':
            target += "\\n";
            return;
        case '\r':
            target += "\\r";
            return;
        default:
            target += "\\u00";
            target += kHex[byte >> 4U];
            target += kHex[byte & 15U];
    }
}

}  // namespace

void append_log_text(std::string& target, std::string_view text) {
    std::size_t plain = 0;  // where the run of bytes that need no change began
    std::size_t at = 0;
    const auto flush = [&] { target.append(text.substr(plain, at - plain)); };
    while (at < text.size()) {
        const unsigned char byte = byte_at(text, at);
        if (is_plain(byte)) {
            ++at;
            continue;
        }
        const std::size_t length = byte < 0x80 ? 1 : character_length(text, at);
        const std::string_view character = text.substr(at, length);
        const bool separator = character == "\xe2\x80\xa8" || character == "\xe2\x80\xa9";
        if (length > 1 && !separator) {
            at += length;
            continue;
        }
        flush();
        if (length == 0) {
            target += "\\ufffd";
        } else if (separator) {
            target += character.back() == '\xa8' ? "\\u2028" : "\\u2029";
        } else {
            append_ascii(target, byte);
        }
        at += std::max<std::size_t>(length, 1);
        plain = at;
    }
    flush();
}

std::size_t whole_characters(std::string_view text) {
    const std::size_t farthest = std::min<std::size_t>(text.size(), 3);
    for (std::size_t back = 1; back <= farthest; ++back) {
        const unsigned char byte = byte_at(text, text.size() - back);
        if (is_continuation(byte)) continue;
        return length_by_lead(byte) > back ? text.size() - back : text.size();
    }
    return text.size();
}

LogEncoder::LogEncoder(std::string_view stream,
                       const std::map<std::string, std::string>& attributes) {
    trailer_.append("\",\"stream\":\"").append(stream).append("\"");
    if (!attributes.empty()) {
        trailer_ += ",\"attrs\":{";
        for (const auto& [name, value] : attributes) {
            if (trailer_.back() != '{') trailer_ += ',';
            trailer_ += '"';
            append_log_text(trailer_, name);
            trailer_ += "\":\"";
            append_log_text(trailer_, value);
            trailer_ += '"';
        }
        trailer_ += '}';
    }
    trailer_ += ",\"time\":\"";
}

void LogEncoder::emit(std::string_view line, const Sink& sink) {
    record_ = "{\"log\":\"";
    append_log_text(record_, line);
    record_.append(trailer_).append(rfc3339(Timestamp::now())).append("\"}\n");
    sink(record_);
}

void LogEncoder::feed(std::string_view bytes, const Sink& sink) {
    lines_.feed(bytes, [&](std::string_view line) { emit(line, sink); });
}

void LogEncoder::finish(const Sink& sink) {
    lines_.finish([&](std::string_view line) { emit(line, sink); });
}

void LineCutter::feed(std::string_view bytes, const Sink& sink) {
    while (!bytes.empty()) {
        const std::size_t room = kMaxLine - pending_.size();
        const std::size_t line_break = bytes.substr(0, room).find('\n');
        if (line_break == std::string_view::npos && bytes.size() < room) {
            pending_.append(bytes);
            return;
        }
        const std::size_t take = line_break == std::string_view::npos ? room : line_break + 1;
        std::string_view line = bytes.substr(0, take);
        if (!pending_.empty()) line = pending_.append(line);
        std::size_t whole = line.size();
        if (line_break == std::string_view::npos)
            whole = std::max<std::size_t>(whole_characters(line), 1);
        sink(line.substr(0, whole));
        pending_ = std::string(line.substr(whole));
        bytes.remove_prefix(take);
    }
}

void LineCutter::finish(const Sink& sink) {
    if (!pending_.empty()) sink(pending_);
    pending_.clear();
}

}  // namespace berth::shim
