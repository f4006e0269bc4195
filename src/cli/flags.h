// A small parser of flags in the manner of the docker CLI: --name value, --name=value, -n value,
// -nvalue, grouped short switches (-it). Pure; unknown flags are errors that name them.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

enum class FlagKind { toggle, value };

struct Flag final {
    std::string_view name;  // without dashes
    char letter = 0;        // 0: no short form
    FlagKind kind = FlagKind::value;
};

enum class Positionals {
    anywhere,     // flags may follow arguments
    end_of_flags  // the first argument ends the flags: `run IMAGE COMMAND -x`
};

class Flags final {
  public:
    /// Throws Error{invalid} naming an unknown flag or one that lacks its value.
    static Flags parse(const std::vector<std::string>& arguments, std::span<const Flag> known,
                       Positionals positionals);

    bool on(std::string_view name) const;
    bool has(std::string_view name) const;
    /// The last value, or `fallback`.
    std::string get(std::string_view name, std::string fallback = "") const;
    std::vector<std::string> all(std::string_view name) const;
    const std::vector<std::string>& positionals() const { return positionals_; }
    /// Throws Error{invalid} with the usage unless at least `least` arguments were given.
    void require(std::size_t least, std::string_view usage) const;

  private:
    std::map<std::string, std::vector<std::string>, std::less<>> values_;
    std::vector<std::string> positionals_;
};

}  // namespace berth::cli
