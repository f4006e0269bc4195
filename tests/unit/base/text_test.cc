#include "base/text.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/number.h"

#include <gtest/gtest.h>

namespace berth {
namespace {

using Words = std::vector<std::string_view>;

TEST(Text, words_have_no_white_space_around_them) {
    EXPECT_EQ(words_of(" cpu\tio\n\nmemory \r\n"), (Words{"cpu", "io", "memory"}));
    EXPECT_TRUE(words_of(" \n").empty());
    EXPECT_TRUE(words_of("").empty());
}

TEST(Text, words_are_separated_by_what_was_asked_for) {
    EXPECT_EQ(words_of("rbytes=1:wbytes 2", ":="), (Words{"rbytes", "1", "wbytes 2"}));
}

// Names on disk and of interfaces come from it: another hash would orphan them.
TEST(Text, fnv1a_is_the_published_one) {
    EXPECT_EQ(fnv1a(""), 0xcbf29ce484222325U);
    EXPECT_EQ(fnv1a("foobar"), 0x85944171f73967e8U);
}

TEST(Base64, both_alphabets_and_missing_padding) {
    EXPECT_EQ(decode_base64("e30="), "{}");
    EXPECT_EQ(decode_base64("e30"), "{}");
    EXPECT_EQ(decode_base64("_-8="), "\xff\xef");
    EXPECT_EQ(decode_base64("/+8="), "\xff\xef");
    EXPECT_THROW(decode_base64("a b"), Error);
    EXPECT_EQ(encode_base64("\xff\xef"), "/+8=");
    EXPECT_EQ(encode_base64url("\xff\xef"), "_-8=");
}

TEST(Trimmed, LosesWhatSeparatesAtBothEnds) {
    EXPECT_EQ(trimmed(" \t a b\r\n"), "a b");
    EXPECT_EQ(trimmed(" \n"), "");
    EXPECT_EQ(trimmed("=a=", "="), "a");
}

TEST(PercentCodes, BecomeTheirBytes) {
    EXPECT_EQ(decode_percent_codes("a%2Fb%2f"), "a/b/");
    EXPECT_EQ(decode_percent_codes("100%, %zz %4"), "100%, %zz %4");
}

TEST(HostPort, StandApart) {
    const auto parts_of = [](std::string_view text) {
        const auto [host, port] = split_host_port(text);
        return std::pair(host, port);
    };
    using Parts = std::pair<std::string_view, std::string_view>;
    EXPECT_EQ(parts_of("host:80"), Parts("host", "80"));
    EXPECT_EQ(parts_of("host"), Parts("host", ""));
    EXPECT_EQ(parts_of(":80"), Parts("", "80"));
    EXPECT_EQ(parts_of("[::1]:80"), Parts("::1", "80"));
    EXPECT_EQ(parts_of("[::1]"), Parts("::1", ""));
}

TEST(WholeNumber, IsTheWholeText) {
    EXPECT_EQ(whole_number<int>("-7"), -7);
    EXPECT_EQ(whole_number<unsigned>("ff", 16), 255U);
    for (const char* text : {"", " 7", "7 ", "7x", "+7", "99999999999"})
        EXPECT_FALSE(whole_number<int>(text)) << text;
}

}  // namespace
}  // namespace berth
