// One answer of a check of the host: what was looked at, how it is, why, and the exact commands
// that mend it. Checks are pure functions from facts to findings, shared by the start of berthd and
// by `berth doctor`. No IO.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace berth::rootlesskit {

enum class State { ok, degraded, broken };

std::string_view to_string(State state);

struct Finding final {
    std::string name;  // stable: scripts read it
    State state = State::ok;
    std::string cause;              // of an ok: what was found
    std::vector<std::string> mend;  // shell commands in order; an administrator's begin with sudo
    std::vector<std::string> fix;   // what `doctor --fix` runs as the user; empty: it cannot

    bool operator==(const Finding&) const = default;
};

Finding fine(std::string name, std::string text);
/// One that only an administrator (or nobody) can mend.
Finding trouble(State state, std::string name, std::string cause,
                std::vector<std::string> mend = {});
/// One whose mend the user may run: `doctor --fix` does.
Finding fixable(State state, std::string name, std::string cause, std::vector<std::string> mend);

/// For logs: the cause and its commands on one line.
std::string message_of(const Finding& finding);
/// `text` as one word of sh.
std::string shell_word(std::string_view text);

}  // namespace berth::rootlesskit
