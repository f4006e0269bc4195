// What a JsonReader refuses, each with the path of what is wrong.
#include "base/json.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth {
namespace {

using nlohmann::json;

std::string refusal_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) {
        return error.message();
    }
    return "";
}

TEST(JsonReader, RefusesNumbersThatDoNotFit) {
    const json value = {{"big", UINT64_MAX}, {"most", INT64_MAX}, {"float", 1e300}};
    const JsonReader reader(value, "Outer");
    EXPECT_EQ(refusal_of([&] { reader.integer("big"); }),
              "Outer.big: 18446744073709551615 is too large");
    EXPECT_EQ(reader.integer("most"), INT64_MAX);
    EXPECT_NE(refusal_of([&] { reader.integer("float"); }), "");
}

TEST(JsonReader, OneStringIsAListOnlyWhereAskedFor) {
    const json value = {{"words", "one"}};
    const JsonReader reader(value);
    EXPECT_EQ(refusal_of([&] { reader.strings("words"); }),
              "words: expected a list of strings, found string");
    EXPECT_EQ(reader.string_or_strings("words"), std::vector<std::string>{"one"});
}

TEST(JsonReader, ReadsAPairOfNumbers) {
    const json value = {{"size", {24, 80}},
                        {"negative", {-1, 2}},
                        {"large", {1, 1ULL << 32}},
                        {"three", {1, 2, 3}}};
    const JsonReader reader(value);
    EXPECT_EQ(reader.number_pair("size"), std::pair(24U, 80U));
    EXPECT_EQ(reader.number_pair("absent"), std::nullopt);
    EXPECT_NE(refusal_of([&] { reader.number_pair("negative"); }).find("negative[0]"),
              std::string::npos);
    EXPECT_NE(refusal_of([&] { reader.number_pair("large"); }).find("large[1]"), std::string::npos);
    EXPECT_NE(refusal_of([&] { reader.number_pair("three"); }).find("three"), std::string::npos);
}

TEST(ParseJson, SaysWhatIsWrongInWordsOfItsOwn) {
    const std::string message = refusal_of([] { parse_json("{"); });
    EXPECT_TRUE(message.starts_with("invalid JSON: parse error at line 1")) << message;
    EXPECT_EQ(message.find("exception"), std::string::npos) << message;
}

TEST(CheckNoZeroBytes, NamesThePlace) {
    const std::string bad("a\0b", 3);
    EXPECT_EQ(refusal_of([&] {
                  check_no_zero_bytes({{"Cmd", {"true", bad}}});
              }),
              "Cmd[1]: a zero byte is not allowed");
    EXPECT_EQ(refusal_of([&] {
                  check_no_zero_bytes({{"Labels", {{bad, "x"}}}});
              }),
              "Labels: a zero byte is not allowed");
    EXPECT_EQ(refusal_of([&] { check_no_zero_bytes({{"Cmd", {"true", 1, nullptr}}}); }), "");
}

}  // namespace
}  // namespace berth
