// One output stream cut into lines for a log whose records know whether they are whole: each piece
// comes without its line break, and says where in a long line it belongs. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "shim/log_encoder.h"

namespace berth::shim {

struct LogPiece final {
    std::string_view text;
    bool partial = false;  // of a line that was cut, or that did not end
    bool last = false;     // the line's last piece; only when partial
    std::string_view id;   // of the line that was cut
    int ordinal = 0;       // from 1
};

class LogPieces final {
  public:
    /// Borrowed for the call.
    using Sink = std::function<void(const LogPiece& piece)>;
    void feed(std::string_view bytes, const Sink& sink);
    void finish(const Sink& sink);

  private:
    void give(std::string_view line, const Sink& sink);

    LineCutter lines_;
    std::string id_;  // not empty within a line that was cut
    int ordinal_ = 0;
};

}  // namespace berth::shim
