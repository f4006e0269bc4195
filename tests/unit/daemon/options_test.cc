#include "daemon/options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth::daemon {
namespace {

const Environment kEnvironment{"/run/user/1", "/home/u/.local/share", "/home/u/.config"};
const std::string kDefaultFile = "/home/u/.config/berth/daemon.json";

CommandLine read_with(const std::vector<std::string>& arguments,
                      const std::map<std::string, std::string>& files = {}) {
    return read_command_line(arguments, kEnvironment,
                             [&files](const std::string& path) -> std::optional<std::string> {
                                 const auto file = files.find(path);
                                 if (file == files.end()) return std::nullopt;
                                 return file->second;
                             });
}

std::string error_of(const std::vector<std::string>& arguments, const std::string& file = "") {
    try {
        read_with(arguments, {{kDefaultFile, file}});
    } catch (const Error& error) {
        return error.message();
    }
    return "no error";
}

std::string file_error(const std::string& file) {
    const std::string text = error_of({}, file);
    const std::string prefix = "unable to configure the daemon with file " + kDefaultFile + ": ";
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

TEST(Options, defaults_follow_the_users_directories) {
    const Config config = read_with({}).config;
    EXPECT_EQ(config.hosts, std::vector<std::string>{"unix:///run/user/1/docker.sock"});
    EXPECT_EQ(config.exec_root, "/run/user/1/berth");
    EXPECT_EQ(config.data_root, "/home/u/.local/share/berth");
    EXPECT_EQ(config.pidfile, "/run/user/1/berth/berthd.pid");
    EXPECT_EQ(config.config_file, "");
}

TEST(Options, flags_take_values_in_every_form) {
    const Config config = read_with({"-Hunix:///a", "-H", "unix:///b", "--host=unix:///c", "-Dl",
                                     "warn", "--mtu", "1400", "--default-shm-size=1g", "-p=/p",
                                     "--icc=false", "--log-opt", "max-size=1m"})
                              .config;
    EXPECT_EQ(config.hosts, (std::vector<std::string>{"unix:///a", "unix:///b", "unix:///c"}));
    EXPECT_TRUE(config.debug);
    EXPECT_EQ(config.log_level, "debug");
    EXPECT_EQ(config.mtu, 1400);
    EXPECT_EQ(config.default_shm_size, 1 << 30);
    EXPECT_EQ(config.pidfile, "/p");
    EXPECT_FALSE(config.icc);
    EXPECT_EQ(config.log_opts.at("max-size"), "1m");
}

TEST(Options, wrong_flags_are_named) {
    EXPECT_EQ(error_of({"--frobnicate"}), "unknown flag: --frobnicate");
    EXPECT_EQ(error_of({"-Dx"}), "unknown shorthand flag: 'x' in -Dx");
    EXPECT_EQ(error_of({"--data-root"}), "flag needs an argument: --data-root");
    EXPECT_EQ(error_of({"-l"}), "flag needs an argument: 'l' in -l");
    EXPECT_EQ(error_of({"stray"}), "\"berthd\" accepts no arguments");
    EXPECT_EQ(error_of({"--mtu=x"}),
              "invalid argument \"x\" for \"--mtu\" flag: strconv.ParseInt: parsing \"x\": invalid "
              "syntax");
    EXPECT_EQ(error_of({"-D=maybe"}),
              "invalid argument \"maybe\" for \"-D, --debug\" flag: strconv.ParseBool: parsing "
              "\"maybe\": invalid syntax");
    EXPECT_EQ(error_of({"-l", "loud"}), "invalid logging level: loud");
    EXPECT_EQ(error_of({"-H", "foo"}),
              "parse host: invalid bind address format: foo: use unix://, tcp:// or fd://");
    EXPECT_EQ(error_of({"--label", "a=1", "--label", "a=2"}), "conflict labels for a=1 and a=2");
    EXPECT_EQ(error_of({"--dns", "dns.example"}), "dns.example is not an ip address");
    EXPECT_EQ(error_of({"--data-root", "rel"}), "data-root: 'rel' is not an absolute path");
    EXPECT_EQ(error_of({"--default-runtime", "crun"}),
              "specified default runtime 'crun' does not exist");
    EXPECT_EQ(error_of({"--mtu", "70000"}), "invalid default MTU: 70000");
    EXPECT_EQ(
        error_of({"--default-ulimit", "nofile=2:1"}),
        "default-ulimits: nofile: ulimit soft limit must be less than or equal to hard limit: "
        "2 > 1");
    EXPECT_EQ(error_of({"--userns-remap=default"}),
              "--userns-remap is not supported: containers always run in the user's own namespace");
}

TEST(Options, file_fills_what_flags_left_open) {
    const Config config =
        read_with({"-D"}, {{kDefaultFile,
                            R"({"data-root":"/d","hosts":["unix:///x"],"icc":false,
                                "proxies":{"http-proxy":"http://p"},"features":{"cdi":true},
                                "default-ulimits":{"nofile":{"Name":"nofile","Hard":2,"Soft":1}},
                                "runtimes":{"crun":{"path":"/usr/bin/crun"}},
                                "default-address-pools":[{"base":"10.0.0.0/8","size":24}],
                                "default-shm-size":"128M"})"}})
            .config;
    EXPECT_EQ(config.data_root, "/d");
    EXPECT_EQ(config.hosts, std::vector<std::string>{"unix:///x"});
    EXPECT_FALSE(config.icc);
    EXPECT_EQ(config.http_proxy, "http://p");
    EXPECT_TRUE(config.features.at("cdi"));
    EXPECT_EQ(config.default_ulimits.at("nofile"), (UlimitDefault{1, 2}));
    EXPECT_EQ(config.runtimes.at("crun").path, "/usr/bin/crun");
    EXPECT_EQ(config.default_address_pools, (std::vector<AddressPool>{{"10.0.0.0/8", 24}}));
    EXPECT_EQ(config.default_shm_size, 128 << 20);
    EXPECT_EQ(config.config_file, kDefaultFile);
}

TEST(Options, dockers_file_is_read_when_there_is_no_own) {
    const Config config =
        read_with({}, {{"/home/u/.config/docker/daemon.json", R"({"mtu":1300})"}}).config;
    EXPECT_EQ(config.mtu, 1300);
}

TEST(Options, empty_file_and_byte_order_mark_are_accepted) {
    EXPECT_EQ(file_error(""), "no error");
    EXPECT_EQ(file_error(" \n"), "no error");
    EXPECT_EQ(file_error("\xef\xbb\xbf{}"), "no error");
}

TEST(Options, wrong_files_are_named) {
    EXPECT_EQ(file_error(R"({"nope":1,"also":2})"),
              "the following directives don't match any configuration option: also, nope");
    EXPECT_EQ(file_error(R"({"proxies":{"ftp-proxy":"x"}})"),
              "the following directives don't match any configuration option: ftp-proxy");
    EXPECT_EQ(file_error(R"({"debug":"yes"})"), "debug: expected true or false, found string");
    EXPECT_EQ(file_error(R"({"hosts":"unix:///x"})"),
              "hosts: expected a list of strings, found string");
    EXPECT_EQ(file_error(R"({"log-opts":{"max-file":3}})"),
              "log-opts.max-file: expected a string, found number");
    EXPECT_EQ(file_error(R"({"iptables":1})"), "iptables: expected true or false, found number");
    EXPECT_EQ(file_error("[]"), "expected an object, found array");
    EXPECT_TRUE(file_error("{").starts_with("invalid JSON: ")) << file_error("{");
    EXPECT_EQ(error_of({"--config-file", "/absent"}),
              "unable to configure the daemon with file /absent: open /absent: no such file or "
              "directory");
}

TEST(Options, same_option_by_flag_and_file_is_refused) {
    const std::string opening =
        "the following directives are specified both as a flag and in the configuration file: ";
    const auto conflict = [&](const std::vector<std::string>& flags, const std::string& file) {
        const std::string text = error_of(flags, file);
        return text.substr(text.find(opening) + opening.size());
    };
    EXPECT_EQ(conflict({"--data-root=/a"}, R"({"data-root":"/b"})"),
              "data-root: (from flag: /a, from file: /b)");
    EXPECT_EQ(conflict({"-H", "fd://"}, R"({"hosts":["unix:///x"]})"),
              "hosts: (from flag: [fd://], from file: [\"unix:///x\"])");
    EXPECT_EQ(error_of({"--add-runtime", "a=/a"}, R"({"runtimes":{"b":{"path":"/b"}}})"),
              "no error");
}

TEST(Options, options_without_effect_warn) {
    const CommandLine line = read_with({"--iptables=false"});
    ASSERT_EQ(line.warnings.size(), 1U);
    EXPECT_EQ(line.warnings[0],
              "--iptables has no effect: packet rules live in berth's own network namespace only");
}

TEST(Options, tcp_needs_an_explicit_choice) {
    EXPECT_NE(error_of({"-H", "tcp://127.0.0.1:2375"}).find("--tlsverify=false"),
              std::string::npos);
    EXPECT_NE(error_of({"-H", "tcp://127.0.0.1:2376", "--tls"}).find("not supported yet"),
              std::string::npos);
    EXPECT_EQ(read_with({"-H", "tcp://127.0.0.1:2375", "--tls=false"}).warnings.size(), 1U);
}

TEST(Options, actions_win_over_the_rest) {
    EXPECT_EQ(read_with({"--validate", "-D"}).action, Action::validate);
    EXPECT_EQ(read_with({"-v"}).action, Action::version);
    EXPECT_EQ(read_with({"--validate", "--help"}).action, Action::help);
}

TEST(Options, sizes_are_binary_multiples) {
    EXPECT_EQ(parse_bytes("64M"), 64 << 20);
    EXPECT_EQ(parse_bytes("64 MiB"), 64 << 20);
    EXPECT_EQ(parse_bytes("10kb"), 10240);
    EXPECT_EQ(parse_bytes("7"), 7);
    for (const char* wrong : {"", "x", "1x", "-1", "1bb", "99999999999g"})
        EXPECT_THROW(parse_bytes(wrong), Error) << wrong;
}

TEST(Options, configuration_survives_the_message_to_the_engine) {
    const Config config =
        read_with({"--tls=false", "--add-runtime=a=/a", "--default-ulimit=nofile=1:2",
                   "--default-address-pool=base=10.0.0.0/8,size=24", "--feature=x", "--label=k=v"})
            .config;
    EXPECT_EQ(config_from_json(to_json(config)), config);
}

TEST(Options, help_names_every_effective_flag) {
    const std::string help = help_text();
    for (const Option& option : options()) {
        if (option.support != Support::full || option.flag.empty()) continue;
        EXPECT_NE(help.find("--" + std::string(option.flag)), std::string::npos) << option.flag;
    }
}

}  // namespace
}  // namespace berth::daemon
