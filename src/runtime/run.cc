#include <sys/prctl.h>

#include "runtime/create.h"
#include "runtime/verbs.h"

namespace berth::runtime {

int run(const Settings& settings, const Arguments& arguments) {
    const std::string id = container_id(arguments);
    const linux_os::PidFd process = create_container(settings, arguments);
    try {
        start_container(settings, id);
    } catch (...) {
        process.signal(9);
        process.reap();
        delete_stopped(settings, id);
        throw;
    }
    if (arguments.options.has("detach")) return 0;
    const int code = process.reap().code;
    if (!arguments.options.has("keep")) delete_stopped(settings, id);
    return code;
}

}  // namespace berth::runtime
