#include "build/mode.h"

#include <sys/stat.h>

#include <string_view>

#include "base/error.h"
#include "base/number.h"
#include "base/text.h"

namespace berth::build {

namespace {

constexpr mode_t kAll = 07777;
constexpr mode_t kUser = 04700, kGroup = 02070, kOthers = 00007;

[[noreturn]] void refuse(const std::string& text) {
    throw Error(ErrorKind::invalid,
                "invalid chmod parameter: '{}'. it should be octal string and between 0 and 07777",
                text);
}

/// Three bits for everybody.
mode_t for_all(mode_t bits) { return bits << 6 | bits << 3 | bits; }

mode_t bits_of(char permission, mode_t mode) {
    switch (permission) {
        case 'r':
            return for_all(4);
        case 'w':
            return for_all(2);
        case 'x':
            return for_all(1);
        case 'X':
            return S_ISDIR(mode) || (mode & for_all(1)) != 0 ? for_all(1) : 0;
        case 's':
            return S_ISUID | S_ISGID;
        case 't':
            return S_ISVTX;
        case 'u':
            return for_all(mode >> 6 & 7);
        case 'g':
            return for_all(mode >> 3 & 7);
        default:
            return for_all(mode & 7);
    }
}

mode_t who_of(std::string_view letters) {
    mode_t who = 0;
    for (const char letter : letters)
        who |= letter == 'u' ? kUser : letter == 'g' ? kGroup : letter == 'o' ? kOthers : kAll;
    return who == 0 || who == (kUser | kGroup | kOthers) ? kAll : who;
}

}  // namespace

ModeChange::ModeChange(const std::string& text) {
    if (const auto number = whole_number<mode_t>(text, 8); number && *number <= kAll) {
        number_ = *number;
        return;
    }
    if (text.empty() || (text.front() >= '0' && text.front() <= '9')) refuse(text);
    for (const std::string_view part : words_of(text, ",")) {
        const std::size_t operation = part.find_first_not_of("ugoa");
        if (operation == std::string_view::npos) refuse(text);
        const mode_t who = who_of(part.substr(0, operation));
        for (std::string_view rest = part.substr(operation); !rest.empty();) {
            const char what = rest.front();
            const std::size_t next = std::min(rest.find_first_of("+-=", 1), rest.size());
            const std::string_view permissions = rest.substr(1, next - 1);
            if (std::string_view("+-=").find(what) == std::string_view::npos ||
                permissions.find_first_not_of("rwxXstugo") != std::string_view::npos)
                refuse(text);
            clauses_.push_back({who, what, std::string(permissions)});
            rest.remove_prefix(next);
        }
    }
    if (clauses_.empty()) refuse(text);
}

mode_t ModeChange::operator()(mode_t mode) const {
    if (clauses_.empty()) return number_;
    for (const Clause& clause : clauses_) {
        mode_t bits = 0;
        for (const char permission : clause.permissions) bits |= bits_of(permission, mode);
        // The sticky bit is everybody's.
        bits &= clause.who | S_ISVTX;
        if (clause.operation == '=') mode &= ~clause.who;
        mode = clause.operation == '-' ? mode & ~bits : mode | bits;
    }
    return mode & kAll;
}

}  // namespace berth::build
