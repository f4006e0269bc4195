// berth-shim --dir DIR, with the first control connection as descriptor 3.
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "base/file.h"
#include "base/log.h"
#include "shim/idle_memory.h"
#include "shim/rootfs.h"
#include "shim/shim.h"

namespace {

using namespace berth;

void prepare_process() {
    // Clients and processes that go away are seen as EPIPE.
    ::signal(SIGPIPE, SIG_IGN);
    // It ends when its container does, and not before: without it nobody reads the output and the
    // exit is lost. A session's end signals the container's processes themselves.
    for (const int number : {SIGHUP, SIGINT, SIGTERM}) ::signal(number, SIG_IGN);
    ::umask(0022);
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) throw_errno("becoming a subreaper");
    // One arena and small thresholds: the shim lives as long as its container.
    ::mallopt(M_ARENA_MAX, 1);
    ::mallopt(M_TRIM_THRESHOLD, 64 << 10);
    ::mallopt(M_MMAP_THRESHOLD, 64 << 10);
}

void run(const std::string& directory) {
    UniqueFd connection{shim::kControlFd};
    prepare_process();
    shim::ShimConfig config = shim::parse_shim_config(read_file(directory + "/shim.json"));
    shim::enter_private_mounts();
    shim::EventLoop loop;
    loop.on_quiet(shim::release_idle_memory);
    shim::Shim container(loop, directory, std::move(config));
    container.begin(std::move(connection));
    loop.run();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || std::strcmp(argv[1], "--dir") != 0) {
        std::fprintf(stderr, "usage: berth-shim --dir DIR (started by berth-engine)\n");
        return 2;
    }
    berth::log::configure("berth-shim", berth::log::Level::warn);
    try {
        run(argv[2]);
    } catch (const std::exception& error) {
        const std::string file = std::string(argv[2]) + "/shim.log";
        if (std::freopen(file.c_str(), "a", stderr) != nullptr)
            ::setvbuf(stderr, nullptr, _IONBF, 0);
        berth::log::error("{}", error.what());
        return 1;
    }
    return 0;
}
