// Turns one output stream of a container into records of the json-file log: one JSON object a
// line, lines longer than 16 KiB in several records of which only the last ends in a line break.
// Byte-compatible with what readers of Docker's files expect. Pure but for the clock.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace berth::shim {

/// Cuts a stream into its lines, each with its line break; a line of more than kMaxLine bytes into
/// pieces, between characters, of which only the last has the break.
class LineCutter final {
  public:
    /// Borrowed for the call.
    using Sink = std::function<void(std::string_view piece)>;
    void feed(std::string_view bytes, const Sink& sink);
    /// The stream ended: what has no line break yet is a piece without one.
    void finish(const Sink& sink);

    static constexpr std::size_t kMaxLine = 16U << 10;

  private:
    std::string pending_;  // of the line that has not ended; shorter than kMaxLine
};

class LogEncoder final {
  public:
    /// Takes one whole record with its line break; borrowed for the call.
    using Sink = std::function<void(std::string_view record)>;

    LogEncoder(std::string_view stream, const std::map<std::string, std::string>& attributes);
    void feed(std::string_view bytes, const Sink& sink);
    /// The stream ended: what has no line break yet becomes a record without one.
    void finish(const Sink& sink);

    static constexpr std::size_t kMaxLine = LineCutter::kMaxLine;

  private:
    void emit(std::string_view line, const Sink& sink);

    LineCutter lines_;
    std::string trailer_;  // from the end of the text to the value of "time"
    std::string record_;
};

/// Appends `text` as the inside of a JSON string, escaped as Docker's log writer does: HTML
/// characters, control characters and U+2028/9 as \uXXXX, invalid UTF-8 as \ufffd.
void append_log_text(std::string& target, std::string_view text);
/// Length of the longest prefix of `text` that does not end within a UTF-8 character.
std::size_t whole_characters(std::string_view text);

}  // namespace berth::shim
