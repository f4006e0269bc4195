#include "rootlesskit/finding.h"

#include <fmt/ranges.h>

#include <utility>

namespace berth::rootlesskit {

std::string_view to_string(State state) {
    switch (state) {
        case State::ok:
            return "ok";
        case State::degraded:
            return "degraded";
        case State::broken:
            break;
    }
    return "broken";
}

Finding fine(std::string name, std::string text) {
    return {std::move(name), State::ok, std::move(text), {}, {}};
}

Finding trouble(State state, std::string name, std::string cause, std::vector<std::string> mend) {
    return {std::move(name), state, std::move(cause), std::move(mend), {}};
}

Finding fixable(State state, std::string name, std::string cause, std::vector<std::string> mend) {
    std::vector<std::string> fix = mend;
    return {std::move(name), state, std::move(cause), std::move(mend), std::move(fix)};
}

std::string message_of(const Finding& finding) {
    if (finding.mend.empty()) return finding.cause;
    return fmt::format("{}: `{}`", finding.cause, fmt::join(finding.mend, " && "));
}

std::string shell_word(std::string_view text) {
    constexpr std::string_view kPlain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@,+%";
    if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos)
        return std::string(text);
    std::string word = "'";
    for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return word + "'";
}

}  // namespace berth::rootlesskit
