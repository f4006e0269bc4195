// The flags of an instruction ("--from=x"): each at most once unless it may repeat. Throws
// Error{invalid} with dockerd's texts. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace berth::build {

class Flags final {
  public:
    explicit Flags(const std::vector<std::string>& words);
    /// The value; "" when it was not given.
    std::string take(const std::string& name);
    std::vector<std::string> take_all(const std::string& name);
    bool take_boolean(const std::string& name);
    /// Throws for what nobody took.
    void check_empty() const;

  private:
    std::multimap<std::string, std::string> values_;  // "--link" has the value "\1"
};

}  // namespace berth::build
