// Mutates the corpora of targets.h for a bounded time: BERTH_FUZZ_MS a target (300), from
// BERTH_FUZZ_SEED (1). See README.md.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>

#include "base/error.h"
#include "targets.h"

namespace berth::fuzz {
namespace {

int setting(const char* name, int fallback) {
    const char* text = std::getenv(name);
    return text ? std::atoi(text) : fallback;
}

/// Words at which parsers go wrong.
constexpr std::string_view kWords[] = {
    "\"",   "{",       "[",       "]",    "null", "-1",         "1e999", "18446744073709551615",
    "true", "\\u0000", "\\ud800", "\xff", "%",    "\r\n",       "../",   "9223372036854775808",
    ":",    "@",       "0x",      "{}",   "[]",   "77777777777"};

std::string mutated(std::string text, const std::vector<std::string>& corpus,
                    std::mt19937& random) {
    const auto below = [&](std::size_t end) { return end == 0 ? 0 : random() % end; };
    for (std::size_t changes = 1 + below(6); changes > 0; --changes) {
        const std::size_t at = below(text.size() + 1);
        switch (below(7)) {
            case 0:
                if (at < text.size()) text[at] = static_cast<char>(random());
                break;
            case 1:
                text.erase(at, below(16));
                break;
            case 2:
                text.insert(at, kWords[below(std::size(kWords))]);
                break;
            case 3:
                if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
                break;
            case 4:
                text.insert(at, text.substr(below(text.size() + 1), below(64)));
                break;
            case 5: {
                const std::string_view word = kWords[below(std::size(kWords))];
                text.replace(at, std::min(word.size(), text.size() - at), word);
                break;
            }
            default: {
                const std::string& other = corpus[below(corpus.size())];
                text = text.substr(0, at) + other.substr(below(other.size() + 1));
            }
        }
    }
    return text;
}

class Fuzz : public testing::TestWithParam<std::size_t> {};

TEST_P(Fuzz, nothing_but_errors_leaves) {
    const Target& target = targets()[GetParam()];
    std::mt19937 random(static_cast<unsigned>(setting("BERTH_FUZZ_SEED", 1)));
    for (const std::string& valid : target.corpus) target.run(valid);
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(setting("BERTH_FUZZ_MS", 300));
    while (std::chrono::steady_clock::now() < end) {
        const std::string input =
            mutated(target.corpus[random() % target.corpus.size()], target.corpus, random);
        try {
            target.run(input);
        } catch (const Error&) {
            continue;
        } catch (const std::exception& error) {
            FAIL() << error.what() << "\ninput: " << testing::PrintToString(input);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, Fuzz, testing::Range(std::size_t{0}, targets().size()),
                         [](const auto& place) {
                             return std::string(targets()[place.param].name);
                         });

}  // namespace
}  // namespace berth::fuzz
