#include "shim/detach_scanner.h"

namespace berth::shim {

DetachScanner::Result DetachScanner::scan(std::string_view typed) {
    Result result;
    if (keys_.empty()) {
        result.forward = typed;
        return result;
    }
    for (const char key : typed) {
        held_.push_back(key);
        while (!std::string_view(keys_).starts_with(held_)) {
            result.forward.push_back(held_.front());
            held_.erase(0, 1);
        }
        if (held_ == keys_) {
            held_.clear();
            result.detached = true;
            return result;
        }
    }
    return result;
}

}  // namespace berth::shim
