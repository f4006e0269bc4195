// libnghttp2, loaded at the first connection that speaks HTTP/2: an engine for which nobody builds
// with BuildKit does not map it. The table stays for the life of the process.
#pragma once

#include <nghttp2/nghttp2.h>

namespace berth::grpc {

struct Http2Library final {
    decltype(&::nghttp2_session_callbacks_new) callbacks_new;
    decltype(&::nghttp2_session_callbacks_del) callbacks_del;
    decltype(&::nghttp2_session_callbacks_set_on_begin_headers_callback) on_begin_headers;
    decltype(&::nghttp2_session_callbacks_set_on_header_callback) on_header;
    decltype(&::nghttp2_session_callbacks_set_on_frame_recv_callback) on_frame_recv;
    decltype(&::nghttp2_session_callbacks_set_on_data_chunk_recv_callback) on_data_chunk_recv;
    decltype(&::nghttp2_session_callbacks_set_on_stream_close_callback) on_stream_close;
    decltype(&::nghttp2_option_new) option_new;
    decltype(&::nghttp2_option_del) option_del;
    decltype(&::nghttp2_option_set_no_auto_window_update) option_set_no_auto_window_update;
    decltype(&::nghttp2_session_server_new2) session_server_new2;
    decltype(&::nghttp2_session_client_new2) session_client_new2;
    decltype(&::nghttp2_session_del) session_del;
    decltype(&::nghttp2_session_mem_recv) session_mem_recv;
    decltype(&::nghttp2_session_mem_send) session_mem_send;
    decltype(&::nghttp2_session_want_read) session_want_read;
    decltype(&::nghttp2_session_want_write) session_want_write;
    decltype(&::nghttp2_session_set_local_window_size) session_set_local_window_size;
    decltype(&::nghttp2_session_consume_connection) session_consume_connection;
    decltype(&::nghttp2_session_consume_stream) session_consume_stream;
    decltype(&::nghttp2_session_resume_data) session_resume_data;
    decltype(&::nghttp2_submit_settings) submit_settings;
    decltype(&::nghttp2_submit_request) submit_request;
    decltype(&::nghttp2_submit_response) submit_response;
    decltype(&::nghttp2_submit_trailer) submit_trailer;
    decltype(&::nghttp2_submit_rst_stream) submit_rst_stream;
    decltype(&::nghttp2_strerror) strerror;

    /// Throws Error{unsupported} saying what to install.
    static const Http2Library& get();
};

}  // namespace berth::grpc
