#include "build/expand.h"

#include <cstddef>

#include "base/error.h"
#include "build/glob.h"
#include "build/words.h"

namespace berth::build {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

enum class Quotes { removed, kept };
constexpr int kMaxDepth = 50;
/// ENV A=$A$A doubles a value with each line.
constexpr std::size_t kMaxExpanded = 1U << 20;
constexpr std::size_t kMaxReplaced = 64U << 10;  // the search is quadratic

class Expander final {
  public:
    Expander(std::string_view text, const Lookup& lookup, char escape, Quotes quotes)
        : text_(text), lookup_(lookup), escape_(escape), quotes_(quotes) {}

    std::string word() {
        std::string result = until('\0', 0);
        finish_word();
        return result;
    }
    std::vector<std::string> words() {
        word();
        return std::move(words_);
    }

  private:
    bool at_end() const { return at_ == text_.size(); }
    char peek() const { return text_[at_]; }

    // Each character of the outermost level goes into the list of words, too.
    void add(std::string& result, char c, int depth, bool quoted) {
        result += c;
        if (result.size() > kMaxExpanded)
            throw Error(ErrorKind::invalid, "a word grows beyond {} bytes", kMaxExpanded);
        if (depth > 0) return;
        if (!quoted && kWhiteSpace.find(c) != std::string_view::npos) {
            finish_word();
        } else {
            current_ += c;
            in_word_ = true;
        }
    }
    void add_value(std::string& result, const std::string& value, int depth, bool quoted) {
        for (const char c : value) add(result, c, depth, quoted);
    }
    void finish_word() {
        if (in_word_) words_.push_back(std::move(current_));
        current_.clear();
        in_word_ = false;
    }

    /// Up to `stop` (which is taken) or the end.
    std::string until(char stop, int depth) {
        if (depth > kMaxDepth)
            throw Error(ErrorKind::invalid, "variables are nested too deeply in \"{}\"", text_);
        std::string result;
        while (!at_end()) {
            const char c = text_[at_++];
            if (stop != '\0' && c == stop) return result;
            if (c == '\'' && quotes_ == Quotes::removed) {
                single_quoted(result, depth);
            } else if (c == '"' && quotes_ == Quotes::removed) {
                double_quoted(result, depth);
            } else if (c == '$') {
                add_value(result, dollar(depth), depth, false);
            } else if (c == escape_ && !at_end()) {
                add(result, text_[at_++], depth, true);
            } else if (c != escape_) {
                add(result, c, depth, false);
            }
        }
        if (stop != '\0')
            throw Error(ErrorKind::invalid, "syntax error: missing '{}' in \"{}\"", stop, text_);
        return result;
    }

    void single_quoted(std::string& result, int depth) {
        if (depth == 0) in_word_ = true;
        while (!at_end()) {
            const char c = text_[at_++];
            if (c == '\'') return;
            add(result, c, depth, true);
        }
        throw Error(ErrorKind::invalid,
                    "unexpected end of statement while looking for matching single-quote");
    }

    void double_quoted(std::string& result, int depth) {
        if (depth == 0) in_word_ = true;
        while (!at_end()) {
            const char c = text_[at_++];
            if (c == '"') return;
            if (c == '$') {
                add_value(result, dollar(depth), depth, true);
            } else if (c == escape_ && !at_end()) {
                const char next = text_[at_++];
                if (next != '"' && next != '$' && next != escape_) add(result, c, depth, true);
                add(result, next, depth, true);
            } else {
                add(result, c, depth, true);
            }
        }
        throw Error(ErrorKind::invalid,
                    "unexpected end of statement while looking for matching double-quote");
    }

    std::string name() {
        std::string result;
        if (at_end()) return result;
        if (is_name_start(peek())) {
            while (!at_end() && (is_name_start(peek()) || is_digit(peek()))) result += text_[at_++];
        } else if (is_digit(peek())) {
            while (!at_end() && is_digit(peek())) result += text_[at_++];
        } else if (std::string_view("@*#?-$!").find(peek()) != std::string_view::npos) {
            result += text_[at_++];
        }
        return result;
    }

    /// After a '$'.
    std::string dollar(int depth) {
        if (at_end()) return "$";
        if (peek() != '{') {
            const std::string variable = name();
            return variable.empty() ? "$" : lookup_(variable).value_or("");
        }
        ++at_;
        const std::string variable = name();
        if (at_end()) throw Error(ErrorKind::invalid, "syntax error: missing '}}'");
        if (variable.empty()) throw Error(ErrorKind::invalid, "syntax error: bad substitution");
        const std::optional<std::string> value = lookup_(variable);
        const char c = text_[at_++];
        switch (c) {
            case '}':
                return value.value_or("");
            case ':': {
                if (at_end()) throw Error(ErrorKind::invalid, "syntax error: missing '}}'");
                const char modifier = text_[at_++];
                return choose(variable, value, value && !value->empty(), modifier, depth);
            }
            case '-':
            case '+':
            case '?':
                return choose(variable, value, value.has_value(), c, depth);
            case '#':
            case '%':
                return trimmed(value.value_or(""), c, depth);
            case '/':
                return replaced(value.value_or(""), depth);
            default:
                throw Error(ErrorKind::invalid, "unsupported modifier ({}) in substitution", c);
        }
    }

    std::string choose(const std::string& variable, const std::optional<std::string>& value,
                       bool is_set, char modifier, int depth) {
        const std::string word = until('}', depth + 1);
        if (modifier == '-') return is_set ? *value : word;
        if (modifier == '+') return is_set ? word : "";
        if (modifier != '?')
            throw Error(ErrorKind::invalid, "unsupported modifier ({}) in substitution", modifier);
        if (is_set) return *value;
        throw Error(ErrorKind::invalid, "{}: {}", variable,
                    word.empty() ? "not allowed to be unset" : word);
    }

    std::string trimmed(const std::string& value, char side, int depth) {
        const bool greedy = !at_end() && peek() == side;
        if (greedy) ++at_;
        const std::string pattern = until('}', depth + 1);
        const std::size_t size = value.size();
        for (std::size_t i = 0; i <= size; ++i) {
            const std::size_t cut = greedy ? size - i : i;
            const std::string_view part = side == '#' ? std::string_view(value).substr(0, cut)
                                                      : std::string_view(value).substr(size - cut);
            if (matches_glob(pattern, part))
                return side == '#' ? value.substr(cut) : value.substr(0, size - cut);
        }
        return value;
    }

    std::string replaced(const std::string& value, int depth) {
        const bool all = !at_end() && peek() == '/';
        if (all) ++at_;
        const std::string pattern = until('/', depth + 1);
        const std::string with = until('}', depth + 1);
        if (pattern.empty()) return value;
        if (value.size() > kMaxReplaced)
            throw Error(ErrorKind::invalid, "a value of more than {} bytes is not searched",
                        kMaxReplaced);
        std::string result;
        for (std::size_t i = 0; i < value.size();) {
            std::size_t length = value.size() - i;
            while (length > 0 && !matches_glob(pattern, value.substr(i, length))) --length;
            if (length == 0) {
                result += value[i++];
                continue;
            }
            result += with;
            i += length;
            if (!all) return result + value.substr(i);
        }
        return result;
    }

    std::string_view text_;
    const Lookup& lookup_;
    char escape_;
    Quotes quotes_;
    std::size_t at_ = 0;
    std::string current_;  // the word that grows
    bool in_word_ = false;
    std::vector<std::string> words_;
};

}  // namespace

std::string expand(std::string_view word, const Lookup& lookup, char escape) {
    return Expander(word, lookup, escape, Quotes::removed).word();
}

std::vector<std::string> expand_words(std::string_view text, const Lookup& lookup, char escape) {
    return Expander(text, lookup, escape, Quotes::removed).words();
}

std::string expand_keeping_quotes(std::string_view text, const Lookup& lookup, char escape) {
    return Expander(text, lookup, escape, Quotes::kept).word();
}

}  // namespace berth::build
