#include "build/expand.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "build/arguments.h"
#include "build/glob.h"

namespace berth::build {
namespace {

const std::map<std::string, std::string> kValues{
    {"X", "value"}, {"EMPTY", ""}, {"P", "/a/b.tar.gz"}, {"WORDS", "one two"}};

std::optional<std::string> look_up(const std::string& name) {
    const auto found = kValues.find(name);
    if (found == kValues.end()) return std::nullopt;
    return found->second;
}

struct Case final {
    const char* word;
    const char* result;
};

class Expand : public ::testing::TestWithParam<Case> {};

TEST_P(Expand, GivesWhatDockerGives) {
    EXPECT_EQ(expand(GetParam().word, look_up), GetParam().result) << GetParam().word;
}

INSTANTIATE_TEST_SUITE_P(
    Words, Expand,
    ::testing::Values(Case{"plain", "plain"}, Case{"$X", "value"}, Case{"${X}y", "valuey"},
                      Case{"$Xy", ""}, Case{"\\$X", "$X"}, Case{"'$X'", "$X"},
                      Case{"\"$X b\"", "value b"}, Case{"a\"b c\"'d e'", "ab cd e"},
                      Case{"${U:-d}", "d"}, Case{"${X:-d}", "value"}, Case{"${EMPTY:-d}", "d"},
                      Case{"${EMPTY-d}", ""}, Case{"${U-d}", "d"}, Case{"${X:+s}", "s"},
                      Case{"${U:+s}", ""}, Case{"${EMPTY+s}", "s"}, Case{"${U:-${X}}", "value"},
                      Case{"${U:-a b}", "a b"}, Case{"${P##*/}", "b.tar.gz"},
                      Case{"${P%.*}", "/a/b.tar"}, Case{"${P%%.*}", "/a/b"},
                      Case{"${P#/}", "a/b.tar.gz"}, Case{"${P/a/z}", "/z/b.tar.gz"},
                      Case{"${P//a/z}", "/z/b.tzr.gz"}, Case{"$", "$"}, Case{"a$", "a$"},
                      Case{"$1", ""}, Case{"", ""}));

std::string error_of(const char* word) {
    return failure_text([&] { expand(word, look_up); });
}

TEST(ExpandErrors, AreDockers) {
    EXPECT_EQ(error_of("${U:?is needed}"), "U: is needed");
    EXPECT_EQ(error_of("${U?}"), "U: not allowed to be unset");
    EXPECT_EQ(error_of("'x"),
              "unexpected end of statement while looking for matching single-quote");
    EXPECT_EQ(error_of("${X:z}"), "unsupported modifier (z) in substitution");
    EXPECT_FALSE(error_of("${X").empty());
    EXPECT_FALSE(error_of("${").empty());
    EXPECT_FALSE(error_of("${}").empty());
}

TEST(Expand, KeepsGrowthInBounds) {
    const std::string big(1U << 19, 'x');
    const auto lookup = [&](const std::string&) { return std::optional(big); };
    EXPECT_THROW(expand("$A$A$A", lookup), Error);
    std::string nested;
    for (int i = 0; i < 1000; ++i) nested += "${U:-";
    EXPECT_THROW(expand(nested, look_up), Error);
}

TEST(ExpandWords, SplitsValuesButNotQuotes) {
    EXPECT_EQ(expand_words("$WORDS 'a b' ''", look_up),
              (std::vector<std::string>{"one", "two", "a b", ""}));
}

TEST(ExpandHeredoc, LeavesQuotesAlone) {
    EXPECT_EQ(expand_keeping_quotes("it's \"$X\" \\$X \\\\n", look_up), "it's \"value\" $X \\n");
    // As BuildKit: the escape character goes, whatever it stands before.
    EXPECT_EQ(expand_keeping_quotes("\\n\\\n", look_up), "n\n");
}

TEST(Glob, MatchesPaths) {
    EXPECT_TRUE(matches_glob("a*c?", "abbcd"));
    EXPECT_TRUE(matches_glob("[a-c]x", "bx"));
    EXPECT_FALSE(matches_glob("[^a-c]x", "bx"));
    EXPECT_TRUE(matches_glob("\\*", "*"));
    EXPECT_FALSE(matches_glob("", "a"));
    EXPECT_TRUE(matches_path_glob("**/x", "x"));
    EXPECT_TRUE(matches_path_glob("a/**/x", "a/b/c/x"));
    EXPECT_FALSE(matches_path_glob("a/*", "a/b/c"));
}

TEST(Arguments, GiveWhatIsDeclaredOnly) {
    Arguments arguments({{"GIVEN", "g"}, {"UNUSED", "u"}, {"http_proxy", "p"}, {"NONE", {}}});
    arguments.add_global("GLOBAL", "default");
    arguments.begin_stage();
    EXPECT_FALSE(arguments.lookup({})("GLOBAL"));
    arguments.add("GLOBAL", std::nullopt);
    arguments.add("GIVEN", "other");
    arguments.add("NONE", "own");
    EXPECT_EQ(arguments.lookup({})("GLOBAL"), "default");
    EXPECT_EQ(arguments.lookup({})("GIVEN"), "g");
    EXPECT_EQ(arguments.lookup({})("NONE"), "own");
    EXPECT_EQ(arguments.lookup({"GIVEN=env"})("GIVEN"), "env");
    EXPECT_EQ(arguments.visible({}).count("http_proxy"), 1U);
    EXPECT_EQ(arguments.recorded({}).count("http_proxy"), 0U);
    EXPECT_EQ(arguments.unused(), (std::vector<std::string>{"UNUSED"}));
    EXPECT_TRUE(arguments.is_given("GIVEN"));
    EXPECT_FALSE(arguments.is_given("NONE"));
}

TEST(Arguments, HaveAProxyInBothCases) {
    const auto given =
        Arguments::with_both_cases({{"http_proxy", "a"}, {"NO_PROXY", "b"}, {"X", "c"}});
    EXPECT_EQ(given, (Arguments::Given{{"http_proxy", "a"},
                                       {"HTTP_PROXY", "a"},
                                       {"NO_PROXY", "b"},
                                       {"no_proxy", "b"},
                                       {"X", "c"}}));
}

}  // namespace
}  // namespace berth::build
