#include "build/words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace berth::build {

namespace {

bool is_blank(char c) { return kWhiteSpace.find(c) != std::string_view::npos; }

/// The end of the word that begins at `at`.
std::size_t end_of_word(std::string_view text, std::size_t at, char escape) {
    char quote = 0;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        if (c == escape && quote != '\'') {
            ++at;
        } else if (quote != 0) {
            if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (is_blank(c)) {
            return at;
        }
    }
    return text.size();
}

struct Unit final {
    std::string_view name;
    double nanoseconds;
};
constexpr std::array<Unit, 7> kUnits{
    {{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};

}  // namespace

std::string_view trim_left(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(kWhiteSpace);
    return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

std::string_view take_word(std::string_view& rest) {
    rest = trim_left(rest);
    const std::size_t end = std::min(rest.find_first_of(kWhiteSpace), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest = trim_left(rest.substr(end));
    return word;
}

std::vector<std::string> raw_words(std::string_view text, char escape) {
    std::vector<std::string> words;
    for (text = trimmed(text); !text.empty(); text = trim_left(text)) {
        const std::size_t end = std::min(end_of_word(text, 0, escape), text.size());
        words.emplace_back(text.substr(0, end));
        text.remove_prefix(end);
    }
    return words;
}

std::vector<std::string> take_flags(std::string_view& rest, char escape) {
    std::vector<std::string> flags;
    for (rest = trimmed(rest); rest.starts_with("--"); rest = trim_left(rest)) {
        const std::size_t end = std::min(end_of_word(rest, 0, escape), rest.size());
        const std::string_view word = rest.substr(0, end);
        rest.remove_prefix(end);
        if (word == "--") break;
        flags.emplace_back(word);
    }
    return flags;
}

std::optional<std::vector<std::string>> json_list(std::string_view text) {
    text = trimmed(text);
    if (!text.starts_with('[')) return std::nullopt;
    try {
        const nlohmann::json value = parse_json(text);
        std::vector<std::string> result;
        for (const nlohmann::json& item : value) {
            if (!item.is_string()) return std::nullopt;
            result.push_back(item.get<std::string>());
        }
        return result;
    } catch (const Error&) {
        return std::nullopt;
    }
}

std::string in_quotes(std::string_view text) {
    std::string result = "\"";
    for (const char c : text) {
        switch (c) {
            case '"':
                result += "\\\"";
                break;
            case '\\':
                result += "\\\\";
                break;
            case '\n':
                result += "\\n";
                break;
            case '\r':
                result += "\\r";
                break;
            case '\t':
                result += "\\t";
                break;
            default:
                if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
                    result += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
                else
                    result += c;
        }
    }
    return result + "\"";
}

std::string in_quotes(const std::vector<std::string>& texts) {
    std::string result = "[";
    for (const std::string& text : texts)
        result += (result.size() > 1 ? " " : "") + in_quotes(text);
    return result + "]";
}

std::int64_t parse_duration(std::string_view text) {
    double total = 0;
    std::string_view rest = text;
    while (!rest.empty() && rest != "0") {
        double number = 0;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number,
                                                  std::chars_format::fixed);
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        const std::size_t length = std::min(rest.find_first_of("0123456789."), rest.size());
        const auto unit = std::ranges::find(kUnits, rest.substr(0, length), &Unit::name);
        if (error != std::errc{} || number < 0 || unit == kUnits.end())
            throw Error(ErrorKind::invalid, "time: invalid duration \"{}\"", text);
        total += number * unit->nanoseconds;
        rest.remove_prefix(length);
    }
    if (text.empty() || total > 9e18)
        throw Error(ErrorKind::invalid, "time: invalid duration \"{}\"", text);
    return static_cast<std::int64_t>(total);
}

std::string duration_text(std::int64_t nanoseconds) {
    constexpr std::int64_t kSecond = 1'000'000'000;
    const std::int64_t hours = nanoseconds / (3600 * kSecond);
    const std::int64_t minutes = nanoseconds / (60 * kSecond) % 60;
    const std::int64_t rest = nanoseconds % (60 * kSecond);
    std::string text;
    if (hours != 0) text += fmt::format("{}h", hours);
    if (hours != 0 || minutes != 0) text += fmt::format("{}m", minutes);
    if (text.empty() && rest != 0 && rest < 1'000'000)
        return fmt::format("{}µs", static_cast<double>(rest) / 1e3);
    if (text.empty() && rest != 0 && rest < kSecond)
        return fmt::format("{}ms", static_cast<double>(rest) / 1e6);
    return text + fmt::format("{}s", static_cast<double>(rest) / 1e9);
}

}  // namespace berth::build
