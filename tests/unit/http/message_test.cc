#include "http/message.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::http {
namespace {

TEST(Query, keys_may_repeat_and_are_decoded) {
    const Query query = Query::parse("t=a%3A1&t=b+c&empty&x=%C3%A9");
    EXPECT_EQ(query.all("t"), (std::vector<std::string>{"a:1", "b c"}));
    EXPECT_TRUE(query.has("empty"));
    EXPECT_EQ(query.get("empty", "d"), "");
    EXPECT_EQ(query.get("absent", "d"), "d");
    EXPECT_EQ(query.get("x"), "\xc3\xa9");
}

TEST(Query, a_semicolon_separates_nothing) {
    EXPECT_THROW(Query::parse("a=1;b=2"), Error);
    EXPECT_EQ(Query::parse("a=1%3bb").get("a"), "1;b");
}

TEST(Query, bad_escape_is_invalid) {
    EXPECT_THROW(Query::parse("a=%2"), Error);
    EXPECT_THROW(Query::parse("a=%gg"), Error);
}

TEST(Headers, names_match_in_any_case) {
    Headers headers{{"Content-Type", "a"}, {"content-type", "b"}};
    EXPECT_EQ(headers.get("CONTENT-TYPE"), "a");
    headers.set("CONTENT-type", "c");
    EXPECT_EQ(headers.entries().size(), 1U);
}

TEST(Headers, tokens_are_found_in_a_list) {
    const Headers headers{{"Connection", "keep-alive, upgrade"}};
    EXPECT_TRUE(headers.has_token("connection", "Upgrade"));
    EXPECT_FALSE(headers.has_token("connection", "grade"));
}

TEST(Percent, encoding_round_trips) {
    const std::string text = "a/b c+d%\xff";
    EXPECT_EQ(decode_percent(encode_percent(text), Plus::space), text);
}

}  // namespace
}  // namespace berth::http
