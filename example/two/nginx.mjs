// What nginx is told here: plain HTTP on this machine. nginx/captify.conf of the package is the one for a server.

const FOLDERS = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/**
 * @param {string} folder for its files
 * @param {number} port of 127.0.0.1
 * @param {string[]} sockets paths of the sockets on which the processes listen
 */
export const configuration = (folder, port, sockets) => `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr error;
events {}
http {
  access_log off;
  ${FOLDERS.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}

  map $http_upgrade $connection_upgrade {
    "~*^websocket$" upgrade;
    default "";
  }

  # Pages by turns, WebSockets to the process that has fewest.
  upstream pages { ${servers(sockets)} }
  upstream sockets { least_conn; ${servers(sockets)} }

  server {
    listen 127.0.0.1:${port};
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto http;

    location /ws {
      proxy_pass http://sockets;
      # The next process is asked where one has ended or is ending.
      proxy_next_upstream error timeout http_503;
      proxy_read_timeout 86400s;
      proxy_send_timeout 86400s;
    }
    location / {
      proxy_pass http://pages;
      proxy_buffering off;
    }
  }
}
`;

const servers = (sockets) => sockets.map((socket) => `server unix:${socket} max_fails=0;`).join(' ');
