// The API's transport and replies over a real unix socket, with a canned engine.
#include "api/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <memory>
#include <thread>

#include "engine/engine.h"
#include "http/client.h"
#include "linux/message_socket.h"
#include "tests/api/fake_engine.h"

namespace berth::api {
namespace {

class ApiServer : public ::testing::Test {
  protected:
    ApiServer() {
        char name[] = "/tmp/berth-api-XXXXXX";
        directory_ = ::mkdtemp(name);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strcpy(address.sun_path, path().c_str());
        UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
            ::listen(listener.get(), 16) != 0)
            throw_errno("listening on {}", path());
        engine::fake().exited.clear();
        engine::fake().events_left = 0;
        engine::fake().log_cancelled = false;
        server_.listen(std::move(listener));
        thread_ = std::thread([this] { context_.run(); });
        client_ = std::make_unique<http::Client>("unix://" + path());
    }
    ~ApiServer() override {
        boost::asio::co_spawn(
            context_, server_.stop(std::chrono::steady_clock::now() + std::chrono::seconds(2)),
            boost::asio::detached);
        thread_.join();
        ::unlink(path().c_str());
        ::rmdir(directory_.c_str());
    }
    std::string path() const { return directory_ + "/s"; }

    http::ClientResponse call(std::string method, std::string target, std::string body = "",
                              http::Headers headers = {}) {
        http::ClientRequest request;
        request.method = std::move(method);
        request.target = std::move(target);
        request.body = std::move(body);
        request.headers = std::move(headers);
        if (!request.body.empty() && request.headers.find("Content-Type") == nullptr)
            request.headers.add("Content-Type", "application/json");
        return client_->send(request);
    }
    void expect(http::ClientResponse response, int status, std::string_view body) {
        EXPECT_EQ(response.status(), status);
        EXPECT_EQ(response.read_all(), body);
    }
    /// Sends raw bytes on a connection of its own; half-closes; everything that comes back.
    std::string raw(std::string_view bytes) {
        const UniqueFd socket = http::connect_to("unix://" + path());
        ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        ::shutdown(socket.get(), SHUT_WR);
        std::string text;
        char piece[4096];
        while (linux_os::wait_readable(socket, 5000)) {
            const ssize_t size = ::recv(socket.get(), piece, sizeof piece, 0);
            if (size <= 0) return text;
            text.append(piece, static_cast<std::size_t>(size));
        }
        return text + "<deadline>";
    }

    boost::asio::io_context context_;
    engine::Engine engine_{context_, {}};
    Server server_{context_.get_executor(), engine_};
    std::string directory_;
    std::thread thread_;
    std::unique_ptr<http::Client> client_;
};

TEST_F(ApiServer, ping_carries_the_negotiation_headers) {
    auto response = call("HEAD", "/_ping");
    EXPECT_EQ(response.status(), 200);
    const http::Headers expected{{"Api-Version", "1.51"}, {"Docker-Experimental", "false"},
                                 {"Ostype", "linux"},     {"Builder-Version", "1"},
                                 {"Swarm", "inactive"},   {"Content-Length", "0"},
                                 {"Pragma", "no-cache"}};
    for (const auto& [name, value] : expected.entries())
        EXPECT_EQ(response.headers().get(name), value) << name;
    expect(call("GET", "/_ping"), 200, "OK");
}

TEST_F(ApiServer, json_is_not_escaped_and_ends_with_a_line_break) {
    auto response = call("GET", "/v1.50/info");
    EXPECT_EQ(response.headers().get("Content-Type"), "application/json");
    EXPECT_EQ(response.headers().get("Server"), "Docker/28.5.2 (linux)");
    EXPECT_EQ(response.read_all(), "{\"Name\":\"<fake>\"}\n");
}

TEST_F(ApiServer, unknown_path_and_wrong_method_are_page_not_found) {
    constexpr std::string_view kBody = "{\"message\":\"page not found\"}\n";
    expect(call("GET", "/v1.51/nothing"), 404, kBody);
    expect(call("DELETE", "/version"), 404, kBody);
}

TEST_F(ApiServer, old_versions_are_refused) {
    auto response = call("GET", "/v1.23/version");
    EXPECT_EQ(response.status(), 400);
    EXPECT_NE(response.read_all().find("client version 1.23 is too old"), std::string::npos);
}

TEST_F(ApiServer, create_reads_the_body_and_the_name) {
    expect(call("POST", "/containers/create?name=x", "{\"image\":\"a\"}"), 201,
           "{\"Id\":\"id-of-x\",\"Warnings\":[]}\n");
    expect(call("POST", "/containers/create", "{\"Image\":\"absent\"}"), 404,
           "{\"message\":\"No such image: absent:latest\"}\n");
}

TEST_F(ApiServer, bad_bodies_are_400) {
    EXPECT_EQ(call("POST", "/containers/create").status(), 400);
    EXPECT_EQ(call("POST", "/containers/create", "{} {}").status(), 400);
    EXPECT_EQ(call("POST", "/containers/create", "[1]").status(), 400);
    EXPECT_EQ(call("POST", "/containers/create", "{\"Image\":7}").status(), 400);
    expect(call("POST", "/containers/create", "{}", {{"Content-Type", "text/plain"}}), 400,
           "{\"message\":\"unsupported Content-Type header (text/plain): must be "
           "'application/json'\"}\n");
}

TEST_F(ApiServer, not_modified_has_no_body) {
    expect(call("POST", "/containers/web/start"), 304, "");
    expect(call("POST", "/containers/no/start"), 404, "{\"message\":\"No such container: no\"}\n");
}

TEST_F(ApiServer, stop_signal_counts_from_1_42_on) {
    expect(call("POST", "/v1.41/containers/web/stop?signal=INT&t=5"), 204, "");
    EXPECT_FALSE(engine::fake().stopped.signal);
    EXPECT_EQ(engine::fake().stopped.timeout_s, 5);
    expect(call("POST", "/v1.42/containers/web/stop?signal=INT"), 204, "");
    EXPECT_EQ(engine::fake().stopped.signal, "INT");
    EXPECT_EQ(call("POST", "/containers/web/stop?t=x").status(), 400);
}

TEST_F(ApiServer, malformed_filters_are_400) {
    expect(call("GET", "/containers/json"), 200, "[]\n");
    EXPECT_EQ(call("GET", "/containers/json?filters=%7B").status(), 400);
    expect(call("GET", "/containers/json?filters=%7B%22x%22%3A%5B%22y%22%5D%7D"), 400,
           "{\"message\":\"invalid filter 'x'\"}\n");
}

TEST_F(ApiServer, a_download_that_fails_before_its_first_byte_has_a_status) {
    EXPECT_EQ(call("GET", "/images/get?names=here").read_all(), "archive of here");
    EXPECT_EQ(call("GET", "/images/absent/get").status(), 404);
    EXPECT_EQ(call("GET", "/images/get").status(), 400);
}

TEST_F(ApiServer, wait_sends_its_head_before_the_exit) {
    auto response = call("POST", "/containers/web/wait?condition=next-exit");
    EXPECT_EQ(response.status(), 200);
    EXPECT_EQ(response.headers().get("Transfer-Encoding"), "chunked");
    boost::asio::post(context_, [] { engine::fake().exited.set(); });
    EXPECT_EQ(response.read_all(), "{\"StatusCode\":3}\n");
    EXPECT_EQ(call("POST", "/containers/web/wait?condition=x").status(), 400);
}

TEST_F(ApiServer, attach_hands_the_connection_over_with_early_bytes) {
    const std::string answer =
        raw("POST /v1.51/containers/web/attach?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: "
            "Upgrade\r\nUpgrade: tcp\r\n\r\nhello");
    EXPECT_EQ(answer,
              "HTTP/1.1 101 UPGRADED\r\nContent-Type: "
              "application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: "
              "tcp\r\n\r\nearly=hello;bye");
}

TEST_F(ApiServer, attach_without_upgrade_is_a_plain_200) {
    const std::string answer = raw("POST /containers/web/attach HTTP/1.1\r\nHost: d\r\n\r\n");
    EXPECT_TRUE(
        answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: "
                           "application/vnd.docker.raw-stream\r\n\r\nearly=;"))
        << answer;
}

TEST_F(ApiServer, attach_to_an_absent_container_is_a_404_before_the_hijack) {
    auto response = call("POST", "/containers/no/attach", "", {{"Upgrade", "tcp"}});
    EXPECT_EQ(response.status(), 404);
}

TEST_F(ApiServer, exec_start_reads_its_body_before_the_hijack) {
    const std::string answer =
        raw("POST /exec/e1/start HTTP/1.1\r\nHost: d\r\nContent-Type: "
            "application/json\r\nContent-Length: "
            "2\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n{}in");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 101 UPGRADED\r\n")) << answer;
    EXPECT_NE(answer.find("Api-Version: 1.51\r\n"), std::string::npos) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\nearly=in;bye")) << answer;
    expect(call("POST", "/exec/e1/start", "{\"Detach\":true}"), 200, "");
    expect(call("POST", "/exec/e2/start", "{}"), 404,
           "{\"message\":\"No such exec instance: e2\"}\n");
}

TEST_F(ApiServer, followed_log_ends_when_the_client_goes) {
    {
        http::Client other("unix://" + path());
        http::ClientRequest request;
        request.target = "/containers/web/logs?follow=1&stdout=1";
        auto response = other.send(request);
        EXPECT_EQ(response.headers().get("Content-Type"),
                  "application/vnd.docker.multiplexed-stream");
        char line[5];
        EXPECT_EQ(response.read(line), 5U);
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!engine::fake().log_cancelled && std::chrono::steady_clock::now() < deadline)
        call("GET", "/_ping").read_all();
    EXPECT_TRUE(engine::fake().log_cancelled);
}

TEST_F(ApiServer, events_are_lines_of_json) {
    engine::fake().events_left = 1;
    expect(call("GET", "/events"), 200, "{\"Type\":\"container\"}\n");
}

TEST_F(ApiServer, pull_error_before_progress_is_a_status) {
    expect(call("POST", "/images/create?fromImage=absent"), 404,
           "{\"message\":\"no such repository\"}\n");
}

TEST_F(ApiServer, pull_error_after_progress_is_the_last_line) {
    expect(call("POST", "/images/create?fromImage=broken"), 200,
           "{\"status\":\"Pulling\"}\r\n{\"error\":\"layer <x> is corrupt\",\"errorDetail\":{"
           "\"message\":\"layer <x> is corrupt\"}}\r\n");
}

TEST_F(ApiServer, a_path_with_empty_parts_is_redirected) {
    auto response = call("GET", "//v1.45/containers/json?all=1");
    EXPECT_EQ(response.status(), 301);
    EXPECT_EQ(response.headers().get("Location"), "/v1.45/containers/json?all=1");
}

TEST_F(ApiServer, probes_of_any_path_are_answered) {
    auto response = call("OPTIONS", "/v1.45/nowhere");
    EXPECT_EQ(response.status(), 200);
    EXPECT_EQ(response.headers().get("Ostype"), "linux");
}

TEST_F(ApiServer, pull_passes_the_credentials) {
    // {"username":"ann","password":"x"}
    const http::Headers headers{
        {"X-Registry-Auth", "eyJ1c2VybmFtZSI6ImFubiIsInBhc3N3b3JkIjoieCJ9"}};
    expect(call("POST", "/images/create?fromImage=a", "", headers), 200,
           "{\"status\":\"Pulling\"}\r\n{\"status\":\"Done\"}\r\n");
    EXPECT_EQ(engine::fake().registry_auth, "eyJ1c2VybmFtZSI6ImFubiIsInBhc3N3b3JkIjoieCJ9");
}

TEST_F(ApiServer, load_gets_the_whole_body) {
    const http::Headers headers{{"Content-Type", "application/x-tar"}};
    expect(call("POST", "/images/load", std::string(3'000'000, 'x'), headers), 200,
           "{\"stream\":\"3000000 bytes\"}\r\n");
}

TEST_F(ApiServer, import_that_wants_no_more_still_answers) {
    const http::Headers headers{{"Content-Type", "application/x-tar"}};
    expect(call("POST", "/images/create?fromSrc=-", std::string(3'000'000, 'x'), headers), 400,
           "{\"message\":\"no tar archive\"}\n");
}

TEST_F(ApiServer, image_names_are_greedy_and_sized_twice_before_1_44) {
    expect(call("GET", "/images/localhost:5000%2Fa/b:c/json"), 200,
           "{\"Id\":\"localhost:5000/a/b:c\"}\n");
    expect(call("GET", "/v1.43/images/json"), 200,
           "[{\"Containers\":-1,\"Size\":7,\"VirtualSize\":7}]\n");
    expect(call("GET", "/v1.44/images/json"), 200, "[{\"Containers\":-1,\"Size\":7}]\n");
}

TEST_F(ApiServer, swarm_is_inactive_and_the_rest_is_honest) {
    EXPECT_EQ(call("GET", "/services").status(), 503);
    expect(call("POST", "/swarm/leave"), 503,
           "{\"message\":\"This node is not part of a swarm\"}\n");
    EXPECT_EQ(call("POST", "/plugins/pull").status(), 501);
}

}  // namespace
}  // namespace berth::api
