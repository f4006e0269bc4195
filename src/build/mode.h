// COPY --chmod: permission bits as a number, or symbolic as in chmod(1): "u=rwX,go-w". Pure. Throws
// Error{invalid} with BuildKit's text.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace berth::build {

class ModeChange final {
  public:
    explicit ModeChange(const std::string& text);
    /// The bits for a file of this mode, whose type counts for "X".
    mode_t operator()(mode_t mode) const;
    /// True for a number, which directories made on the way get too.
    bool is_absolute() const { return clauses_.empty(); }

  private:
    struct Clause final {
        mode_t who = 0;  // the bits it may change
        char operation = '=';
        std::string permissions;
    };
    mode_t number_ = 0;
    std::vector<Clause> clauses_;
};

}  // namespace berth::build
