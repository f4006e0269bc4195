#include "cli/lifecycle.h"

#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

namespace berth::cli {

int for_each_container(const std::vector<std::string>& names,
                       const std::function<void(const std::string& name)>& call) {
    int code = 0;
    for (const std::string& name : names) {
        try {
            call(name);
            write_all(BorrowedFd{STDOUT_FILENO}, name + "\n");
        } catch (const Error& error) {
            write_all(BorrowedFd{STDERR_FILENO}, "berth: " + error.message() + "\n");
            code = 1;
        }
    }
    return code;
}

}  // namespace berth::cli
