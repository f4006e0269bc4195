// The same targets for libFuzzer, which is guided by coverage: BERTH_FUZZ_TARGET names one, and the
// valid inputs are written into the directory BERTH_FUZZ_SEEDS. See README.md.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "targets.h"

namespace {

const berth::fuzz::Target* chosen() {
    const char* name = std::getenv("BERTH_FUZZ_TARGET");
    for (const auto& target : berth::fuzz::targets())
        if (name && std::string_view(target.name) == name) return &target;
    std::fputs("BERTH_FUZZ_TARGET is none of:", stderr);
    for (const auto& target : berth::fuzz::targets()) std::fprintf(stderr, " %s", target.name);
    std::fputs("\n", stderr);
    std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    const auto* target = chosen();
    const char* seeds = std::getenv("BERTH_FUZZ_SEEDS");
    if (!seeds) return 0;
    berth::make_directories(seeds);
    for (std::size_t number = 0; number < target->corpus.size(); ++number)
        berth::replace_file(fmt::format("{}/valid-{}", seeds, number), target->corpus[number], 0644,
                            berth::Durability::process);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static const auto* const kTarget = chosen();
    try {
        kTarget->run({reinterpret_cast<const char*>(bytes), size});
    } catch (const berth::Error&) {
        return 0;
    }
    return 0;
}
